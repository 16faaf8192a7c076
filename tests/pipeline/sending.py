"""What is sent through the pipeline."""

from collections.abc import Callable

from batches.batch import Batch

SendAll = Callable[..., Batch]
GOOD, OTHER = b'{"sensor_id": 3, "value": 1}', b'{"sensor_id": 77, "value": 1}'
