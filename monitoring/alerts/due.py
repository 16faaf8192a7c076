"""What falls due by time, and what nobody has evaluated yet, is evaluated by a job: found by an index, and no
timer anywhere.

A silence is a lease, as a sensor's status is: a row says when it runs out if nothing comes. While readings
come as expected, they do not write that row; once in each lease the job reads the last of them and renews it.
"""

import time
from datetime import UTC, datetime

from batches.store import BatchStore
from monitoring import locks
from monitoring.alerts import checks, fault, together
from monitoring.alerts.changing import moment
from monitoring.alerts.coverage import add_missing_silences, edition, look_at_what_fits_no_more
from monitoring.alerts.evaluating import Known, Outcome, evaluate
from monitoring.models import AlertRule, AlertState
from monitoring.models.alert_state import AT_ONCE
from monitoring.status.reach import reach
from monitoring.upkeep.pieces import TimeShare, in_pieces
from process.failpoints import failpoint

PIECE = 500
# How often this process goes through all pairs, for sensors that are new, or are others than they were. Where
# a rule was changed it does so at once.
THROUGH_ALL_SECONDS = 60.0
_went_through: tuple[float, tuple[int, int, int]] | None = None


def job(store: BatchStore, share: TimeShare) -> Outcome:
    """The job that beat sends every few seconds; returns what it did."""
    global _went_through
    now, began, rules = datetime.now(UTC), time.monotonic(), edition()
    is_time = (
        _went_through is None or began - _went_through[0] >= THROUGH_ALL_SECONDS or rules != _went_through[1]
    )
    known, done = reach(store, now), Outcome()
    if not rules[0]:
        return done

    def ours() -> int:
        done.add(fault.look(known, now))
        return 0

    # First whether it is our fault: what comes after goes by the outages that are kept.
    in_pieces(locks.ALERTS, ours, share)
    done.add(evaluate_due(share, fault.known_by(known, now), now, through_all=is_time))
    done.add(checks.job(store, known, share, now))
    if is_time:
        _went_through = began, rules
    return done


def evaluate_due(
    share: TimeShare, known: Known, now: datetime | None = None, through_all: bool = True
) -> Outcome:
    """Evaluates what is due, in pieces, until the time is used. `now` stands still meanwhile.

    `through_all`: looks first for pairs that are new, and for those whose rule or sensor is another one.

    Where the watermark lies behind the clock, what is due by time after it stays due until it has caught up.
    """
    done = Outcome()
    now = now or datetime.now(UTC)
    until = AT_ONCE if known.until is None else moment(known.until)

    def prepare() -> int:
        look_at_what_fits_no_more()
        add_missing_silences(now)
        return 0

    def settle() -> int:
        # Of parts that have ended since: first, so that much to do does not keep it waiting.
        done.ended += together.settle(now)
        return 0

    def piece() -> int:
        pairs = AlertState.objects.due(until, PIECE)
        if not pairs:
            return 0
        done.add(evaluate(dict.fromkeys(pairs), known, now, together.gather))
        failpoint("alerts.looked")
        return len(pairs)

    if AlertRule.objects.exists():
        if through_all:
            in_pieces(locks.ALERTS, prepare, share)
        in_pieces(locks.ALERTS, settle, share)
        in_pieces(locks.ALERTS, piece, share)
    return done
