"""What our processes say to whoever runs them, in the language of the installation (LANGUAGE_CODE).

The catalogue is the site's. It is a file that Python reads by itself, so no Django is needed; where it is
not compiled yet, English is spoken.
"""

import gettext
import re
from collections.abc import Callable, Collection, Mapping
from functools import cache
from pathlib import Path

CATALOGUES = Path(__file__).resolve().parent.parent / "monitoring" / "locale"


def _(sentence: str) -> str:
    """Marks it for translation. Whoever says it translates it, or process/log.py does."""
    return sentence


@cache
def speaker(language: str) -> Callable[[str], str]:
    """A function from our English to that language."""
    said = gettext.translation("django", CATALOGUES, [language], fallback=True).gettext
    # The catalogue's own head stands under the empty text.
    return lambda text: said(text) if text else text


class Forms:
    """Sentences that are put together in English in one place and read in another: they are recognised by
    their form, and said again with what was filled in. One that is not recognised stays as it is.

    `forms`: such as "there is no sensor {sensor}"; one that could be taken for another comes before it.
    `nested`: under which names stands what is recognised by itself. `filled_in`: what may stand under a name,
    where that is not any text, so that hostile text cannot be matched in many ways.
    """

    def __init__(
        self, forms: Collection[str], nested: Collection[str] = (), filled_in: Mapping[str, str] | None = None
    ) -> None:
        self.forms = tuple(forms)
        self._nested, self._filled_in = frozenset(nested), filled_in or {}
        self._plain = frozenset(form for form in forms if "{" not in form)
        # Compiled where they are needed: where English is spoken they are not.
        self._patterns: list[tuple[str, re.Pattern[str]]] = []

    def say(self, text: str, say: Callable[[str], str]) -> str:
        """`text` again, each sentence that is known put through `say`."""
        if text in self._plain:
            return say(text)
        for form, pattern in self._compiled():
            if found := pattern.fullmatch(text):
                return say(form).format_map(
                    {
                        name: self.say(value, say) if name in self._nested else value
                        for name, value in found.groupdict().items()
                    }
                )
        return text

    def _compiled(self) -> list[tuple[str, re.Pattern[str]]]:
        if not self._patterns:
            self._patterns = [(form, self._pattern(form)) for form in self.forms if form not in self._plain]
        return self._patterns

    def _pattern(self, form: str) -> re.Pattern[str]:
        parts = re.split(r"\{(\w+)\}", form)
        parts[::2] = map(re.escape, parts[::2])
        parts[1::2] = [f"(?P<{name}>{self._filled_in.get(name, '.*?')})" for name in parts[1::2]]
        return re.compile("".join(parts), re.DOTALL)
