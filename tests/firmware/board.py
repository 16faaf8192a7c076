"""The MicroPython firmware as a user has it on a board: its files unchanged, settings.py beside them."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

PROJECT = Path(__file__).parents[2]
FIRMWARE = PROJECT / "firmware" / "micropython"
STUBS = Path(__file__).parent / "stubs"
MICROPYTHON = Path(sys.executable).parent / "micropython"

UNITS = {"°C": 1, "%": 2, "V": 3}
MEASURED = re.compile(r"measured: (?P<values>.+) \((?P<ts>\d+\.\d{3})\); \d+ to send")


class Reading(NamedTuple):
    sensor_id: int
    ts: Decimal
    value: Decimal


def environment(world: Path | None = None) -> dict[str, str]:
    """What MicroPython runs in: the stubs come before its own modules."""
    return {
        "PATH": os.environ["PATH"],
        "MICROPYPATH": f"{STUBS}:.frozen",
        "WORLD": str(world or os.devnull),
    }


def run_script(script: str, world: Path | None = None, seconds: float = 30.0) -> str:
    """What a few lines of MicroPython print, which may import the firmware's modules."""
    done = subprocess.run(
        [MICROPYTHON, "-c", script],
        env=environment(world) | {"MICROPYPATH": f"{FIRMWARE}:{STUBS}:.frozen"},
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Board:
    """A board in `folder`, publishing to a broker on this machine.

    `settings`: what differs from settings_example.py. What its sensors, its Wi-Fi and NTP say, `world` says:
    see stubs/world.py.
    """

    def __init__(self, folder: Path, mqtt_port: int, **settings: Any) -> None:
        self.folder = folder
        for path in FIRMWARE.glob("*.py"):
            if path.name != "settings.py":
                shutil.copy(path, folder)
        values = {"MQTT_HOST": "127.0.0.1", "MQTT_PORT": mqtt_port, "INTERVAL_SECONDS": 0.1}
        values |= {"RETRY_SECONDS": 0.3} | settings
        example = (FIRMWARE / "settings_example.py").read_text()
        assert all(re.search(rf"^{name} = ", example, re.MULTILINE) for name in values)
        own = [f"{name} = {value!r}" for name, value in values.items()]
        (folder / "settings.py").write_text("\n".join([example, *own, ""]))
        self.process: subprocess.Popen[bytes] | None = None
        self.world(ntp="true")

    def world(self, **said: Any) -> None:
        fresh = self.folder / "world.new"
        fresh.write_text(json.dumps(said))
        fresh.replace(self.folder / "world.json")

    def start(self) -> "Board":
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                # What an ESP32 has; and here every object is twice as large.
                [MICROPYTHON, "-X", "heapsize=128K", "main.py"],
                cwd=self.folder,
                env=environment(self.folder / "world.json"),
                stdout=log,
                stderr=log,
            )
        return self

    def stop(self) -> None:
        """As when its power is cut."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def freeze(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def __enter__(self) -> "Board":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def log(self) -> str:
        text = (self.folder / "log").read_text(errors="replace")
        assert "this should not happen" not in text, text
        return text

    def lines(self) -> list[str]:
        """Whole lines only."""
        return self.log().split("\n")[:-1]

    def measured(self) -> list[Reading]:
        """What the log says was measured at a known time."""
        return [reading for line in self.lines() for reading in readings_in(line)]

    def sent(self) -> list[dict[str, Any]]:
        """The payloads that the broker has acknowledged."""
        found = [re.match(r"sent (?:again )?(\{.+\})$", line) for line in self.lines()]
        return [json.loads(one[1], parse_float=Decimal) for one in found if one]

    def sent_again(self) -> int:
        return sum(line.startswith("sent again {") for line in self.lines())

    def waiting(self) -> set[Reading]:
        """Measured at a known time, and not acknowledged yet."""
        sent = {
            Reading(one["sensor_id"], one["ts"], Decimal(one["value"])) for one in self.sent() if "ts" in one
        }
        return set(self.measured()) - sent


def readings_in(line: str) -> Iterator[Reading]:
    if found := MEASURED.fullmatch(line):
        for value in found["values"].split(", "):
            number, unit = value.split(" ")
            yield Reading(UNITS[unit], Decimal(found["ts"]), Decimal(number))
