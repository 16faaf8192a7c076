"""Links to a sensor's measurements as a file, which the API makes."""

from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from monitoring.transfer.formats import Format

# The list's end is in it, the API's is not.
TICK = timedelta(microseconds=1)


def links(sensor_id: int, start: datetime | None = None, end: datetime | None = None) -> SafeString:
    """One for each format; `start` and `end` are both in it."""
    span = {"from": start, "to": end and end + TICK}
    given = {name: moment.isoformat() for name, moment in span.items() if moment is not None}
    address = reverse("export", args=[sensor_id])
    return format_html_join(
        " · ",
        '<a class="text-primary-600 dark:text-primary-500" href="{}?{}">{}</a>',
        ((address, urlencode({"format": str(form), **given}), str(form).upper()) for form in Format),
    )
