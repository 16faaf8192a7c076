"""The admin's pages: what a person looks at and the few things that a person changes."""

from django.contrib import admin

from monitoring.admin import (
    accounts,
    alert_channels,
    alerts,
    boards,
    deletions,
    inbox,
    jobs,
    ledger,
    measurements,
    retention,
    schedule,
    sensors,
    tallies,
)

__all__ = [
    "accounts",
    "alert_channels",
    "alerts",
    "boards",
    "deletions",
    "inbox",
    "jobs",
    "ledger",
    "measurements",
    "retention",
    "schedule",
    "sensors",
    "tallies",
]

# unfold's own admin/index.html is found before ours would be.
admin.site.index_template = "monitoring/admin/index.html"
