"""Numbers as the reader's language groups them: a French reader takes 1,432 for one and a half."""

from decimal import Decimal

from django.conf import settings
from django.utils.formats import number_format


def grouped(number: int | float, decimals: int = 0) -> str:
    """In groups of three digits; a float is rounded to so many decimals."""
    if not settings.configured:
        return f"{number:,.{decimals}f}"  # a benchmark, which is none of Django's processes
    # Of a float Django cuts the rest off.
    return number_format(round(Decimal(number), decimals), decimals, force_grouping=True)
