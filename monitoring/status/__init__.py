"""The story of a sensor's status: measured, and kept rather than worked out for each page.

1. A sensor's row is a lease: `due_at` says when its status changes next if nothing comes. While readings come
   as expected, they do not write that row: a look renews it, once in a few intervals.
2. The job looks at what is due, finds the newest reading by the index, and judges.
3. What comes back is seen at once: a sensor that is not well, and of which a batch stored something, is
   looked at within a second.
4. While we ourselves are behind, nobody's status gets worse.

rule        what the status is, by the times alone
reach       up to when we know all that was sent; whether we are behind
looking     looks at sensors
returning   sees those that come back
changes     tells of changes
"""

from monitoring.status.reach import Behind, Why, behind

__all__ = ["Behind", "Why", "behind", "counts"]


def counts() -> dict[str, int]:
    """{"ok": 12, "late": 0, "silent": 3, "never": 1, "off": 0}: one query."""
    from monitoring.models import SensorStatus

    return SensorStatus.objects.counts()
