"""What the database holds: sensors, their measurements, what was refused, the ledger, the rollups."""

from monitoring.models.blocked import BlockedSensor
from monitoring.models.board import Board
from monitoring.models.deletion import Deletion
from monitoring.models.job import Job
from monitoring.models.ledger import Correction, IngestBatch, IngestTotal
from monitoring.models.measurement import Measurement
from monitoring.models.rejected import RejectedMessage
from monitoring.models.rejected_tally import RejectedMinute, RejectedTally, RejectedTotal
from monitoring.models.retention import GoneSpan, RetentionRun
from monitoring.models.rollup import DayRollup, HourRollup, MinuteRollup
from monitoring.models.sensor import Sensor
from monitoring.models.sensor_status import SensorStatus
from monitoring.models.token import Token

__all__ = [
    "BlockedSensor",
    "Board",
    "Correction",
    "DayRollup",
    "Deletion",
    "GoneSpan",
    "HourRollup",
    "IngestBatch",
    "IngestTotal",
    "Job",
    "Measurement",
    "MinuteRollup",
    "RejectedMessage",
    "RejectedMinute",
    "RejectedTally",
    "RejectedTotal",
    "RetentionRun",
    "Sensor",
    "SensorStatus",
    "Token",
]
