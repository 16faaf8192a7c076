from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class MonitoringConfig(AppConfig):
    name = "monitoring"
    verbose_name = _("Monitoring")

    def ready(self) -> None:
        from monitoring import checks  # noqa: F401 -- checks register themselves
        from monitoring.alerts import touched
        from monitoring.roles import make_groups
        from monitoring.rollups import refresh
        from monitoring.upkeep import schedule

        refresh.listen(touched.note)
        post_migrate.connect(schedule.make_schedule, sender=self)
        post_migrate.connect(make_groups, sender=self)
