"""What a replay came to, or would come to, in words."""

from collections.abc import Mapping

from django.utils.translation import gettext, ngettext

from monitoring.admin import ages
from monitoring.admin.codes import meaning
from monitoring.admin.column import grouped
from monitoring.admin.payload import as_text
from monitoring.details import translated
from monitoring.rejected.jobs import Sums
from monitoring.rejected.replay import Verdict


def of_trial(verdict: Verdict) -> list[str]:
    lines = []
    if verdict.stored:
        lines.append(_would_be_stored(verdict.stored))
    if verdict.duplicates:
        lines.append(
            ngettext(
                "%(count)s reading is stored already, with the same value.",
                "%(count)s readings are stored already, with the same values.",
                verdict.duplicates,
            )
            % {"count": grouped(verdict.duplicates)}
        )
    if verdict.sensor is not None and verdict.created_at is not None:
        lines.append(
            gettext("The first: sensor %(sensor)d at %(moment)s (%(zone)s).")
            % {
                "sensor": verdict.sensor,
                "moment": ages.exact(verdict.created_at),
                "zone": ages.zone(),
            }
        )
    lines += _refused(verdict, "would")
    return lines


def of_replay(verdict: Verdict) -> list[str]:
    lines = []
    if verdict.stored:
        lines.append(
            ngettext("%(count)s reading was stored.", "%(count)s readings were stored.", verdict.stored)
            % {"count": grouped(verdict.stored)}
        )
    if verdict.duplicates:
        lines.append(
            ngettext(
                "%(count)s reading was stored already, with the same value.",
                "%(count)s readings were stored already, with the same values.",
                verdict.duplicates,
            )
            % {"count": grouped(verdict.duplicates)}
        )
    lines += _refused(verdict, "was")
    return lines


def _refused(verdict: Verdict, tense: str) -> list[str]:
    count = sum(verdict.rejected.values())
    if not count:
        return []
    if tense == "would":
        text = ngettext(
            "%(count)s reading would be rejected again: %(codes)s.",
            "%(count)s readings would be rejected again: %(codes)s.",
            count,
        )
    else:
        text = ngettext(
            "%(count)s reading was rejected again: %(codes)s.",
            "%(count)s readings were rejected again: %(codes)s.",
            count,
        )
    why = as_text(translated(verdict.detail).encode()) or meaning(verdict.code or "")
    return [text % {"count": grouped(count), "codes": by_code(verdict.rejected)}, why]


def by_code(codes: Mapping[str, int]) -> str:
    """`unit_mismatch 12, conflict 1`; the most frequent first."""
    return ", ".join(
        f"{code} {grouped(count)}" for code, count in sorted(codes.items(), key=lambda one: -one[1])
    )


def of_sums(sums: Sums) -> list[str]:
    """Of a dry run over many."""
    lines = []
    if sums.messages < sums.total:
        lines.append(
            gettext("Of %(total)s messages the first %(looked_at)s were looked at.")
            % {"total": grouped(sums.total), "looked_at": grouped(sums.messages)}
        )
    else:
        lines.append(
            ngettext("%(total)s message can be replayed.", "%(total)s messages can be replayed.", sums.total)
            % {"total": grouped(sums.total)}
        )
    rejected = sum(sums.rejected.values())
    if sums.stored:
        lines.append(_would_be_stored(sums.stored))
    if sums.duplicates:
        lines.append(
            ngettext(
                "%(count)s reading is a duplicate of one that is stored.",
                "%(count)s readings are duplicates of some that are stored.",
                sums.duplicates,
            )
            % {"count": grouped(sums.duplicates)}
        )
    if rejected:
        lines.append(
            ngettext(
                "%(count)s reading would be rejected again: %(codes)s.",
                "%(count)s readings would be rejected again: %(codes)s.",
                rejected,
            )
            % {"count": grouped(rejected), "codes": by_code(sums.rejected)}
        )
    return lines


def _would_be_stored(count: int) -> str:
    text = ngettext("%(count)s reading would be stored.", "%(count)s readings would be stored.", count)
    return text % {"count": grouped(count)}
