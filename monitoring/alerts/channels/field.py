"""What a channel is told by whoever sets it up, and how that is checked."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from django.core.exceptions import ValidationError
from django.utils.functional import Promise
from django.utils.translation import gettext


class Field(NamedTuple):
    """`check`: the value as it is kept, from a text that is not empty; raises ValueError with a sentence.

    `kind`: what a form shows: text, lines, url, secret, switch. A secret is never shown again. `is_key`:
    whoever knows it can read or send there, so that it is shown to those alone who may change it.
    """

    name: str
    label: str | Promise
    kind: str = "text"
    required: bool = False
    default: Any = ""
    help: str | Promise = ""
    check: Callable[[str], Any] | None = None
    longest: int = 500
    is_key: bool = False


def check_all(fields: tuple[Field, ...], given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as they are kept. Raises ValidationError by field; one that is not known is wrong."""
    kept: dict[str, Any] = {}
    wrong: dict[str, str] = {
        name: gettext("This kind of channel has no such setting.")
        for name in given
        if name not in {field.name for field in fields}
    }
    for field in fields:
        try:
            kept[field.name] = _value(field, given.get(field.name, field.default))
        except ValueError as error:
            wrong[field.name] = str(error)
    if wrong:
        raise ValidationError(wrong)
    return kept


def _value(field: Field, value: Any) -> Any:
    if field.kind == "switch":
        if isinstance(value, bool):
            return value
        if value in ("", None):
            return False
        raise ValueError(gettext("It is true or false."))
    if field.kind == "lines" and isinstance(value, list | tuple):
        value = "\n".join(map(str, value))
    if value is None:
        value = ""
    if not isinstance(value, str):
        raise ValueError(gettext("It is a text."))
    text = value.strip()
    if not text:
        if field.required:
            raise ValueError(gettext("This is needed."))
        return [] if field.kind == "lines" else field.default
    if len(text) > field.longest:
        raise ValueError(gettext("It is longer than %d characters.") % field.longest)
    if "\x00" in text or (field.kind != "lines" and not text.isprintable()):
        raise ValueError(gettext("It holds characters that cannot be printed."))
    if field.kind != "lines":
        return field.check(text) if field.check else text
    lines = [line.strip() for line in text.replace(",", "\n").splitlines() if line.strip()]
    return [field.check(line) if field.check else line for line in lines]
