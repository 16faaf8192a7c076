"""The REST API: sensors, measurements and the books of the pipeline, under /api/monitoring/."""
