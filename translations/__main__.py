"""Brings the catalogue up to what is marked, and lists what has no translation yet: `make translations`."""

import sys

import django

django.setup()

from translations import catalogue  # noqa: E402 -- it asks Django which apps there are
from translations.marked import marked  # noqa: E402


def main() -> int:
    wanted, old = marked(), catalogue.read()
    found = catalogue.difference(wanted, old)
    catalogue.write(wanted, old)
    for text, said in found.gone.items():
        print(f"gone: {text.singular!r} ({' / '.join(said)})")
    for text in found.missing:
        print(f"to be translated: {text.singular!r} ({', '.join(wanted[text])})")
    print(f"{len(wanted)} texts, {len(found.missing)} to be translated in {catalogue.FRENCH}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
