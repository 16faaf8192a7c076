"""What is wrong with the settings, in one line; nothing where they will do. It asks no service."""

import sys
from typing import Any

from django.core.checks import run_checks
from django.core.management.base import BaseCommand
from django.utils.translation import gettext


class Command(BaseCommand):
    help = gettext("Looks at the settings, and at how they go together, without the database.")
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        wrong = [check for check in run_checks() if check.is_serious()]
        if wrong:
            # As settings do that are wrong by themselves; a CommandError would put its own name before it.
            sys.exit("; ".join(f"{check.msg} {check.hint or ''}".strip() for check in wrong))
