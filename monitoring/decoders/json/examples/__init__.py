"""The payload by example: what is sent, and the readings or refusals that come of it. See README.md here."""

import base64
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from monitoring.decoders.codes import Code
from monitoring.decoders.limits import MAX_PAYLOAD_BYTES
from monitoring.decoders.reading import Reading

_CLOCK_CODES = (Code.CLOCK_AHEAD, Code.TOO_OLD)


@dataclass(frozen=True, slots=True)
class ExampleSensor:
    """The one sensor that is registered while an example runs."""

    id: int
    kind: str
    unit: str
    is_active: bool


@dataclass(frozen=True, slots=True)
class ExpectedRefusal:
    code: Code
    index: int | None
    looks_like: str = ""
    """Another maker's payload, by the name that the detail gives it."""


@dataclass(frozen=True, slots=True)
class Example:
    group: str
    """The name of its file."""
    name: str
    description: str
    message: bytes
    """What the device publishes, in full."""
    received_at: datetime
    oldest: datetime
    retained: bool
    sensor: ExampleSensor | None
    readings: list[Reading]
    """What is stored."""
    rejected: list[ExpectedRefusal]
    """What is not: at decoding or at checking."""

    @property
    def payload(self) -> bytes:
        """What is handed over of the message: its first 16 KiB."""
        return self.message[:MAX_PAYLOAD_BYTES]

    @property
    def needs_its_clock(self) -> bool:
        """Whether the outcome hangs on `received_at`, so that it cannot be sent at any other time."""
        by_ts = any(reading.ts for reading in self.readings)
        return by_ts or any(refusal.code in _CLOCK_CODES for refusal in self.rejected)

    def sensor_for(self, sensor_id: int) -> ExampleSensor | None:
        return self.sensor if self.sensor and self.sensor.id == sensor_id else None


def load() -> list[Example]:
    """Every example, in the order of the files' names."""
    examples = []
    for path in sorted(Path(__file__).parent.glob("*.json")):
        group = json.loads(path.read_text(encoding="utf-8"))
        examples += [_example(path.stem, raw) for raw in group["examples"]]
    return examples


def _example(group: str, raw: dict[str, Any]) -> Example:
    sensor = raw.get("sensor", {"id": 3, "kind": "light", "unit": "V", "is_active": True})
    return Example(
        group=group,
        name=raw["name"],
        description=raw["description"],
        message=_message(raw),
        received_at=datetime.fromisoformat(raw.get("received_at", "2026-01-28T15:07:55Z")),
        oldest=datetime.fromisoformat(raw.get("oldest", "2025-01-28T15:07:55Z")),
        retained=raw.get("retained", False),
        sensor=ExampleSensor(**sensor) if sensor else None,
        readings=[_reading(reading) for reading in raw.get("readings", [])],
        rejected=[
            ExpectedRefusal(Code(r["code"]), r.get("index"), r.get("looks_like", ""))
            for r in raw.get("rejected", [])
        ],
    )


def _message(raw: dict[str, Any]) -> bytes:
    if "payload" in raw:
        return str(raw["payload"]).encode()
    if "payload_base64" in raw:
        return base64.b64decode(raw["payload_base64"], validate=True)
    parts = raw["payload_repeat"]
    text: str = parts.get("before", "") + parts["text"] * parts["times"] + parts.get("after", "")
    return text.encode()


def _reading(raw: dict[str, Any]) -> Reading:
    ts = raw.get("ts")
    return Reading(
        sensor_id=raw["sensor_id"],
        value=float(raw["value"]),
        kind=raw.get("type"),
        unit=raw.get("unit"),
        ts=datetime.fromisoformat(ts) if ts else None,
        index=raw.get("index"),
    )
