"""One value of one sensor at one moment: the table that grows."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from monitoring.models.measurement_queryset import Last, MeasurementQuerySet


class Measurement(models.Model):
    """Partitioned by `created_at`; its identity is (sensor, created_at).

    PostgreSQL's primary key is (created_at, id), as a partitioned table needs it; Django believes
    that it is `id`, which is right for all that Django does with it here. Nothing looks a row up by
    `id` alone: that would search every partition.
    """

    id = models.BigAutoField(primary_key=True)
    sensor = models.ForeignKey(
        "monitoring.Sensor",
        verbose_name=_("sensor"),
        # No constraint in the database: partition upkeep would wait for every reader of sensors.
        # Ingest locks the sensors that it writes for, and deleting one is a job.
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="measurements",
    )
    created_at = models.DateTimeField(_("measured at"), help_text=_("The device's time, else received_at."))
    received_at = models.DateTimeField(_("received at"), help_text=_("When the bridge or the API took it."))
    value = models.FloatField(_("value"))
    unit = models.CharField(_("unit"), max_length=32, blank=True)

    objects = MeasurementQuerySet.as_manager()

    class Meta:
        verbose_name = _("measurement")
        verbose_name_plural = _("measurements")
        constraints = [
            # Serves every query by sensor: pages, last value, series.
            models.UniqueConstraint(fields=["sensor", "created_at"], name="monitoring_measurement_identity"),
        ]

    def __str__(self) -> str:
        return str(Last(self.value, self.unit, self.created_at))
