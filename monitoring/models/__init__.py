"""What the database holds: sensors, their measurements, what was refused, and the ledger."""

from monitoring.models.ledger import IngestBatch, IngestTotal
from monitoring.models.measurement import Measurement
from monitoring.models.rejected import RejectedMessage, RejectedTally
from monitoring.models.retention import RetentionRun
from monitoring.models.sensor import Sensor

__all__ = [
    "IngestBatch",
    "IngestTotal",
    "Measurement",
    "RejectedMessage",
    "RejectedTally",
    "RetentionRun",
    "Sensor",
]
