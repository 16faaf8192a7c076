"""`python -m bridge`: the process between the broker and Redis."""

import os
import sys

from bridge.receiver import Receiver
from bridge.settings import BridgeSettings
from process import collecting, log
from process.environment import SettingsError, gather


def main() -> int:
    try:
        settings = BridgeSettings.from_environment(gather(os.environ))
    except SettingsError as error:
        print(f"bridge: {error}", file=sys.stderr)  # noqa: T201 -- there is no log yet
        return 2
    log.to_stderr(settings.log_level, settings.time_zone, settings.language)
    collecting.seldom()
    return Receiver(settings).run()


if __name__ == "__main__":
    sys.exit(main())
