"""A sensor as people name it in a form: by its number or its name."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from monitoring.decoders.limits import MAX_SENSOR_ID
from monitoring.models import Sensor

# Of several of one name so many are told apart.
SHOWN = 5


class SensorField(forms.CharField):
    """Gives the Sensor, or None. A list of ten thousand would be no choice; "3", or "Kitchen", is."""

    def __init__(self, **how: Any) -> None:
        said: dict[str, Any] = {
            "label": gettext_lazy("Sensor"),
            "required": False,
            "max_length": 200,
            "help_text": gettext_lazy("Its number or its name."),
        }
        super().__init__(**said | how)

    def prepare_value(self, value: Any) -> Any:
        return str(value.pk) if isinstance(value, Sensor) else value

    def to_python(self, value: Any) -> Any:
        if isinstance(value, Sensor):
            return value
        return super().to_python(value)

    def clean(self, value: Any) -> Sensor | None:
        text = super().clean(value)
        if not text or isinstance(text, Sensor):
            return text or None
        there = Sensor.objects.present()
        if text.isdecimal() and int(text) <= MAX_SENSOR_ID:
            found = there.filter(pk=int(text)).first()
            if found is None:
                raise ValidationError(_("There is no sensor with the number %(id)s.") % {"id": text})
            return found
        named = list(there.filter(name__iexact=text).order_by("pk")[: SHOWN + 1])
        if not named:
            raise ValidationError(_("There is no sensor of this name: give its number."))
        if len(named) > 1:
            numbers = ", ".join(str(one.pk) for one in named[:SHOWN])
            raise ValidationError(
                _("Several sensors are called so: give the number of one of them, such as %s.") % numbers
            )
        return named[0]
