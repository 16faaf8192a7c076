"""What the database holds: sensors, their measurements, what was refused, and the ledger."""

from monitoring.models.ledger import IngestBatch
from monitoring.models.measurement import Measurement
from monitoring.models.rejected import RejectedMessage, RejectedTally
from monitoring.models.sensor import Sensor

__all__ = ["IngestBatch", "Measurement", "RejectedMessage", "RejectedTally", "Sensor"]
