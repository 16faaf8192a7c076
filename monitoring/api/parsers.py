"""Bodies, read once, so that what they hold can be stored and shown."""

import json
from collections.abc import Mapping
from typing import IO, Any

from django.utils.translation import gettext
from rest_framework import parsers
from rest_framework.exceptions import ParseError


class JSONParser(parsers.JSONParser):
    """JSON may say `"\\ud800"`, half of a character, which no encoding can write: no row, and no answer."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            data = super().parse(stream, media_type, parser_context)
            json.dumps(data, ensure_ascii=False).encode()
        except RecursionError:
            raise ParseError(gettext("JSON parse error - it is nested too deeply.")) from None
        except UnicodeEncodeError as error:
            half = str(error.object)[error.start]
            text = gettext("JSON parse error - %s is half of a character.") % f"\\u{ord(half):04x}"
            raise ParseError(text) from None
        return data
