"""The commands that README.md and docs/containers.md give, to be run as they stand there."""

import re

from deploy.test.installation import Installation
from deploy.test.transcript import require


def block(installation: Installation, page: str, containing: str, language: str = "sh") -> str:
    """The one code block of the page that contains this text."""
    text = (installation.folder / page).read_text()
    blocks = re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    found = [each for each in blocks if containing in each]
    require(len(found) == 1, f"{page} has {len(found)} blocks with {containing!r}")
    return str(found[0])


def line(installation: Installation, page: str, containing: str) -> str:
    """The one command of a block, with the lines that it goes on on."""
    whole = block(installation, page, containing).replace("\\\n", " ")
    found = [each for each in whole.splitlines() if containing in each]
    require(len(found) == 1, f"{page} has {len(found)} lines with {containing!r}")
    return found[0]
