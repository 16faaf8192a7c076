"""The form of a rule: which fields each kind has, what they are called for it, and what comes of them."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from django import forms
from django.utils.translation import gettext_lazy

from monitoring.alerts.rule import Kind
from monitoring.dashboard.alerts import saying
from monitoring.dashboard.alerts.duration import DurationField
from monitoring.dashboard.alerts.sensor_field import SensorField
from monitoring.models import AlertChannel, AlertRule, Board
from monitoring.models.alert_rule import LONGEST_S

# Of these a form asks of each kind, in this order; whom it holds for, and whom it tells, of all.
ASKED: dict[Kind, tuple[str, ...]] = {
    Kind.ABOVE: ("high", "clear_high", "for_s", "keep_s"),
    Kind.BELOW: ("low", "clear_low", "for_s", "keep_s"),
    Kind.OUTSIDE: ("low", "high", "clear_low", "clear_high", "for_s", "keep_s"),
    Kind.RATE: ("high", "low", "window_s", "for_s", "keep_s"),
    Kind.STUCK: ("high", "window_s", "keep_s"),
    Kind.SILENCE: ("limit_s", "intervals", "for_s"),
    Kind.REJECTED: ("high", "window_s", "for_s", "keep_s"),
    Kind.BOARD: ("for_s", "keep_s"),
    Kind.PIPELINE: ("check_of", "for_s", "keep_s"),
}
OF_WHOM: dict[Kind, tuple[str, ...]] = {
    **dict.fromkeys(Kind, ("sensor", "sensor_kind", "location", "board")),
    Kind.BOARD: ("location", "board"),
    Kind.PIPELINE: (),
}
# What a field is called by a kind, where that is not what it is called by others.
CALLED: dict[str, dict[Kind, Any]] = {
    "high": {
        Kind.ABOVE: gettext_lazy("Alert me above"),
        Kind.OUTSIDE: gettext_lazy("And above"),
        Kind.RATE: gettext_lazy("Fastest rise, per minute"),
        Kind.STUCK: gettext_lazy("Values may lie apart by"),
        Kind.REJECTED: gettext_lazy("Alert me above this share, from 0 to 1"),
    },
    "low": {
        Kind.BELOW: gettext_lazy("Alert me below"),
        Kind.OUTSIDE: gettext_lazy("Alert me below"),
        Kind.RATE: gettext_lazy("Fastest fall, per minute (negative)"),
    },
}
# Fields that a chart's lines stand for.
LINES: dict[Kind, tuple[str, ...]] = {
    Kind.ABOVE: ("high",),
    Kind.BELOW: ("low",),
    Kind.OUTSIDE: ("low", "high"),
}
_OF_KINDS = tuple(dict.fromkeys(name for names in (*ASKED.values(), *OF_WHOM.values()) for name in names))


class NumberField(forms.FloatField):
    """As people write it, with a comma too; finite."""

    widget = forms.TextInput(attrs={"inputmode": "text", "autocomplete": "off", "class": "amount"})

    def to_python(self, value: Any) -> float | None:  # type: ignore[override]
        if isinstance(value, str):
            value = value.strip().replace(",", ".").replace("\u2212", "-")
        number = super().to_python(value)
        if number is not None and not math.isfinite(number):
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid")
        return number

    def prepare_value(self, value: Any) -> Any:
        return f"{value:.12g}" if isinstance(value, float) else value


class Asked(NamedTuple):
    """A field as the template draws it. `kinds`: those that have it; `called`: (kinds, label) of each
    name."""

    field: forms.BoundField
    kinds: str
    called: list[tuple[str, Any]]
    is_shown: bool


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]
    """What is not asked of the kind that was chosen is taken for empty, whatever was sent of it."""

    sensor = SensorField()
    board = forms.ModelChoiceField(
        Board.objects.all(),
        label=gettext_lazy("Board"),
        required=False,
        to_field_name="name",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        error_messages={"invalid_choice": gettext_lazy("There is no board of this name.")},
    )
    high = NumberField(label=gettext_lazy("Alert me above"), required=False)
    low = NumberField(label=gettext_lazy("Alert me below"), required=False)
    clear_high = NumberField(
        label=gettext_lazy("It is over at or below"),
        required=False,
        help_text=gettext_lazy(
            "Empty: at the threshold itself. A lower value keeps it from firing again and again."
        ),
    )
    clear_low = NumberField(
        label=gettext_lazy("It is over at or above"),
        required=False,
        help_text=gettext_lazy(
            "Empty: at the threshold itself. A higher value keeps it from firing again and again."
        ),
    )
    for_s = DurationField(
        label=gettext_lazy("Once it has lasted for"),
        empty=0,
        most=LONGEST_S,
        help_text=gettext_lazy("Empty: at once."),
    )
    keep_s = DurationField(
        label=gettext_lazy("Over only after a calm of"),
        empty=0,
        most=LONGEST_S,
        help_text=gettext_lazy("What begins again within it is the same incident."),
    )
    window_s = DurationField(label=gettext_lazy("Measured over"), empty=0, most=LONGEST_S)
    limit_s = DurationField(
        label=gettext_lazy("Silent after"),
        most=LONGEST_S,
        help_text=gettext_lazy("Empty: by each sensor’s own pace, which the next field multiplies."),
    )
    renotify_s = DurationField(
        label=gettext_lazy("Tell again after"),
        most=LONGEST_S,
        help_text=gettext_lazy("While it lasts and nobody has acknowledged it. Empty: never."),
    )
    channels = forms.ModelMultipleChoiceField(
        AlertChannel.objects.all(),
        label=gettext_lazy("Channels"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )

    class Meta:
        model = AlertRule
        fields = (
            *("kind", "sensor", "sensor_kind", "location", "board", "check_of", "low", "high"),
            *("clear_low", "clear_high", "window_s", "limit_s", "intervals", "for_s", "keep_s"),
            *("name", "severity", "renotify_s", "note"),
        )
        labels = {
            "kind": gettext_lazy("What"),
            "sensor_kind": gettext_lazy("Kind of sensor"),
            "location": gettext_lazy("Place"),
            "check_of": gettext_lazy("What is checked"),
            "intervals": gettext_lazy("Expected intervals"),
            "name": gettext_lazy("Name"),
            "severity": gettext_lazy("How bad"),
            "note": gettext_lazy("What to do"),
        }
        widgets = {
            "sensor_kind": forms.TextInput(attrs={"autocomplete": "off", "list": "kinds"}),
            "location": forms.TextInput(attrs={"autocomplete": "off", "list": "places"}),
            "note": forms.Textarea(attrs={"rows": 3}),
        }
        help_texts = {
            "intervals": gettext_lazy("So many of them without a reading, and it is silent."),
            "name": gettext_lazy("Empty: what it says."),
            "note": gettext_lazy("Sent with each notification."),
            "severity": "",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].required = False
        chosen = (self.data.get("kind") if self.is_bound else None) or self.initial.get("kind") or Kind.ABOVE
        self.kind = Kind(chosen) if chosen in set(Kind) else Kind.ABOVE
        asked = {*ASKED[self.kind], *OF_WHOM[self.kind]}
        for name in _OF_KINDS:
            if name not in asked:
                self.fields[name].disabled = True
                self.initial[name] = _EMPTY.get(name)
        # Of the instance they are ids; what else it begins with is as people write it.
        given = kwargs.get("initial") or {}
        if self.instance.board is not None and self.initial.get("board") and "board" not in given:
            self.initial["board"] = self.instance.board.name
        if self.instance.sensor is not None and self.initial.get("sensor") and "sensor" not in given:
            self.initial["sensor"] = str(self.instance.sensor.pk)
        if self.instance.pk:
            self.initial.setdefault("channels", [one.pk for one in self.instance.channels.all()])

    @property
    def kind_word(self) -> str:
        return self.kind.value

    @property
    def is_rare(self) -> bool:
        """Whether something is said of its end."""
        names = ("clear_low", "clear_high")
        kept = self["keep_s"].value()
        amount = kept[0] if isinstance(kept, list) else kept
        return any(self[name].value() not in (None, "") or self[name].errors for name in names) or bool(
            amount or self["keep_s"].errors
        )

    def as_typed(self) -> dict[str, Any]:
        """What a form begins with that shows all that was sent, right or wrong, and says nothing of it yet.
        What was not sent, as by fields that the kind did not have, is left to the instance."""
        sent = {
            name: field.widget.value_from_datadict(self.data, self.files, self.add_prefix(name))
            for name, field in self.fields.items()
            if not field.widget.value_omitted_from_data(self.data, self.files, self.add_prefix(name))
        }
        return sent | {"kind": self.kind.value}

    def clean_name(self) -> str:
        return " ".join(str(self.cleaned_data["name"]).split()) or PLACEHOLDER

    def named(self) -> AlertRule:
        """The rule, called what it says where nobody called it anything. After `is_valid`."""
        rule: AlertRule = self.instance
        if rule.name == PLACEHOLDER:
            unit = rule.sensor.unit if rule.sensor is not None else ""
            rule.name = f"{saying.of_whom(rule)} · {saying.condition(rule, unit)}"[:200]
        return rule

    def of_whom(self) -> Iterator[Asked]:
        return self._asked(("sensor", "sensor_kind", "location", "board"), OF_WHOM)

    def looks_for(self) -> Iterator[Asked]:
        # In the order in which they are read: what, then how long.
        names = ("check_of", "low", "high", "window_s", "limit_s", "intervals", "for_s")
        return self._asked(names, ASKED)

    def rarely(self) -> Iterator[Asked]:
        return self._asked(("clear_low", "clear_high", "keep_s"), ASKED)

    def _asked(self, names: tuple[str, ...], by_kind: dict[Kind, tuple[str, ...]]) -> Iterator[Asked]:
        for name in names:
            kinds = [kind for kind in Kind if name in by_kind[kind]]
            other = CALLED.get(name, {})
            plain = [kind for kind in kinds if kind not in other]
            called = [(kind.value, label) for kind, label in other.items()]
            if plain:
                called.insert(0, (" ".join(plain), self.fields[name].label))
            yield Asked(self[name], " ".join(kinds), called, self.kind in kinds)


PLACEHOLDER = "…"
_EMPTY: dict[str, Any] = {"for_s": 0, "keep_s": 0, "window_s": 0, "intervals": 10, "check_of": ""}
