"""What the database holds: sensors, their measurements, what was refused, the ledger, the rollups."""

from monitoring.models.deletion import Deletion
from monitoring.models.ledger import Correction, IngestBatch, IngestTotal
from monitoring.models.measurement import Measurement
from monitoring.models.rejected import RejectedMessage, RejectedTally, RejectedTotal
from monitoring.models.retention import GoneSpan, RetentionRun
from monitoring.models.rollup import DayRollup, HourRollup, MinuteRollup
from monitoring.models.sensor import Sensor
from monitoring.models.token import Token

__all__ = [
    "Correction",
    "DayRollup",
    "Deletion",
    "GoneSpan",
    "HourRollup",
    "IngestBatch",
    "IngestTotal",
    "Measurement",
    "MinuteRollup",
    "RejectedMessage",
    "RejectedTally",
    "RejectedTotal",
    "RetentionRun",
    "Sensor",
    "Token",
]
