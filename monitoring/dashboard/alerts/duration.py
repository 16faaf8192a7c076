"""A length of time in a form: an amount and its unit; seconds in the model."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

UNITS = (
    ("1", gettext_lazy("seconds")),
    ("60", gettext_lazy("minutes")),
    ("3600", gettext_lazy("hours")),
    ("86400", gettext_lazy("days")),
)


class DurationInput(forms.MultiWidget):
    template_name = "monitoring/dashboard/alerts/duration.html"
    use_fieldset = False

    def __init__(self) -> None:
        amount = forms.NumberInput(attrs={"min": "0", "step": "any", "inputmode": "decimal"})
        unit = forms.Select(choices=UNITS, attrs={"aria-label": gettext_lazy("Unit of time")})
        super().__init__({"amount": amount, "unit": unit})

    def decompress(self, value: Any) -> list[Any]:
        """In the largest unit that it is a whole number of."""
        if value in (None, "", 0):
            return ["", "60"]
        seconds = int(value)
        size = next(size for size, _label in reversed(UNITS) if seconds % int(size) == 0)
        return [seconds // int(size), size]

    def id_for_label(self, id_: str) -> str:
        return f"{id_}_0" if id_ else id_


class DurationField(forms.MultiValueField):
    """Gives whole seconds; `empty` where nothing is given."""

    def __init__(self, *, empty: int | None = None, most: int, **how: Any) -> None:
        self.empty, self.most = empty, most
        fields = (forms.FloatField(min_value=0), forms.ChoiceField(choices=UNITS))
        super().__init__(fields, widget=DurationInput(), require_all_fields=False, required=False, **how)

    def clean(self, value: Any) -> int | None:
        if isinstance(value, int) or value is None:  # of a field that is not asked for
            return self.empty if value is None else value
        # The unit alone says nothing.
        seconds: int | None = super().clean(value if value and value[0] not in (None, "") else [])
        return seconds

    def compress(self, data_list: Sequence[Any]) -> int | None:
        if not data_list or data_list[0] is None:
            return self.empty
        seconds: int = round(data_list[0] * int(data_list[1] or 1))
        if seconds > self.most:
            raise ValidationError(_("At most %s days.") % (self.most // 86_400))
        return seconds
