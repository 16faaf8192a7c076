"""What the database holds: sensors, their measurements, what was refused, the ledger, the rollups, alerts."""

from monitoring.models.alert_channel import AlertChannel, Delivery, Notification
from monitoring.models.alert_rule import AlertRule
from monitoring.models.alert_state import AlertState
from monitoring.models.blocked import BlockedSensor
from monitoring.models.board import Board
from monitoring.models.deletion import Deletion
from monitoring.models.incident import Incident
from monitoring.models.job import Job
from monitoring.models.ledger import Correction, IngestBatch, IngestTotal
from monitoring.models.measurement import Measurement
from monitoring.models.mute import Mute
from monitoring.models.rejected import RejectedMessage
from monitoring.models.rejected_tally import RejectedMinute, RejectedTally, RejectedTotal
from monitoring.models.retention import GoneSpan, RetentionRun
from monitoring.models.rollup import DayRollup, HourRollup, MinuteRollup
from monitoring.models.sensor import Sensor
from monitoring.models.sensor_status import SensorStatus
from monitoring.models.token import Token

__all__ = [
    "AlertChannel",
    "AlertRule",
    "AlertState",
    "BlockedSensor",
    "Board",
    "Correction",
    "DayRollup",
    "Deletion",
    "Delivery",
    "GoneSpan",
    "HourRollup",
    "Incident",
    "IngestBatch",
    "IngestTotal",
    "Job",
    "Measurement",
    "MinuteRollup",
    "Mute",
    "Notification",
    "RejectedMessage",
    "RejectedMinute",
    "RejectedTally",
    "RejectedTotal",
    "RetentionRun",
    "Sensor",
    "SensorStatus",
    "Token",
]
