"""Which rejected messages: what a filter says, in a form that a job keeps."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db.models.functions import Length

from monitoring.models import RejectedMessage
from monitoring.models.rejected import RejectedMessageQuerySet


@dataclass(frozen=True)
class Selection:
    """Those that meet all that is said. `sensor`: that name it; `only_sensor`: it and no other;
    `without_sensor`: that name none. `start` is included, `until` is not; both of `received_at`."""

    code: str | None = None
    sensor: int | None = None
    only_sensor: int | None = None
    without_sensor: bool | None = None
    topic: str | None = None
    detail: str | None = None
    start: datetime | None = None
    until: datetime | None = None
    ids: tuple[int, ...] | None = None

    def rows(self) -> RejectedMessageQuerySet:
        """In whatever state."""
        rows = RejectedMessage.objects.all()
        if self.code is not None:
            rows = rows.filter(code=self.code)
        if self.sensor is not None:
            rows = rows.filter(sensors__contains=[self.sensor])
        if self.only_sensor is not None:
            rows = rows.filter(sensors=[self.only_sensor])
        if self.without_sensor:
            rows = rows.filter(sensors=[])
        if self.topic is not None:
            rows = rows.filter(topic=self.topic)
        if self.detail is not None:
            rows = rows.filter(detail=self.detail)
        if self.start is not None:
            rows = rows.filter(received_at__gte=self.start)
        if self.until is not None:
            rows = rows.filter(received_at__lt=self.until)
        return rows if self.ids is None else rows.filter(pk__in=self.ids)

    def waiting(self) -> RejectedMessageQuerySet:
        return self.rows().waiting()

    def replayable(self) -> RejectedMessageQuerySet:
        """Those that wait, and of which there is all to replay."""
        return self.waiting().filter(length__lte=Length("payload"))

    def as_json(self) -> dict[str, Any]:
        """Without what is not said."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in asdict(self).items()
            if value is not None
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "Selection":
        read = dict(said)
        for name in ("start", "until"):
            if name in read:
                read[name] = datetime.fromisoformat(read[name])
        if "ids" in read:
            read["ids"] = tuple(read["ids"])
        return cls(**read)

    def __bool__(self) -> bool:
        return bool(self.as_json())
