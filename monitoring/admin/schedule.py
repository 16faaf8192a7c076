"""Beat's schedule, in unfold's clothes."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django_celery_beat import admin as beat
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)
from unfold.admin import ModelAdmin, TabularInline
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from monitoring.admin.column import column
from monitoring.upkeep.schedule import JOBS

for model in (PeriodicTask, IntervalSchedule, CrontabSchedule, SolarSchedule, ClockedSchedule):
    admin.site.unregister(model)


def shown_name(task: PeriodicTask) -> str:
    """Of a job of ours (monitoring/upkeep/schedule.py) in the reader's language; of another as it stands."""
    return gettext(task.name) if task.name in {job.name for job in JOBS} else str(task.name)


class TaskSelectWidget(UnfoldAdminSelectWidget, beat.TaskSelectWidget):  # type: ignore[misc]
    """unfold's looks, beat's choices."""


class PeriodicTaskForm(beat.PeriodicTaskForm):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["task"].widget = UnfoldAdminTextInputWidget()
        self.fields["regtask"].widget = TaskSelectWidget()


class TasksOfSchedule(TabularInline):  # type: ignore[misc]
    model = PeriodicTask
    fields = readonly_fields = ("shown_name", "task", "enabled")
    can_delete = False
    extra = 0
    show_change_link = True

    @column(_("name"))
    def shown_name(self, task: PeriodicTask) -> str:
        return shown_name(task)

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        return False


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(beat.PeriodicTaskAdmin, ModelAdmin):  # type: ignore[misc]
    form = PeriodicTaskForm
    date_hierarchy = None
    list_display = ("shown_name", "task", "enabled", "scheduler", "last_run_at", "total_run_count")
    list_filter = ("enabled",)

    @column(_("name"), order="name")
    def shown_name(self, task: PeriodicTask) -> str:
        return shown_name(task)


@admin.register(IntervalSchedule)
class IntervalScheduleAdmin(ModelAdmin):  # type: ignore[misc]
    inlines = (TasksOfSchedule,)


class Unlisted:
    """None of our tasks goes by it: it is reached from a task's form, and stands in no list."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(CrontabSchedule)
class CrontabScheduleAdmin(Unlisted, beat.CrontabScheduleAdmin, ModelAdmin):  # type: ignore[misc]
    inlines = (TasksOfSchedule,)


@admin.register(SolarSchedule)
class SolarScheduleAdmin(Unlisted, ModelAdmin):  # type: ignore[misc]
    inlines = (TasksOfSchedule,)


@admin.register(ClockedSchedule)
class ClockedScheduleAdmin(Unlisted, ModelAdmin):  # type: ignore[misc]
    inlines = (TasksOfSchedule,)
