"""What our processes say to whoever runs them, in the language of the installation (LANGUAGE_CODE).

The catalogue is the site's. It is a file that Python reads by itself, so no Django is needed; where it is
not compiled yet, English is spoken.
"""

import gettext
from collections.abc import Callable
from functools import cache

from process.environment import PROJECT

CATALOGUES = PROJECT / "monitoring" / "locale"


def _(sentence: str) -> str:
    """Marks it for translation. Whoever says it translates it, or process/log.py does."""
    return sentence


@cache
def speaker(language: str) -> Callable[[str], str]:
    """A function from our English to that language."""
    said = gettext.translation("django", CATALOGUES, [language], fallback=True).gettext
    # The catalogue's own head stands under the empty text.
    return lambda text: said(text) if text else text
