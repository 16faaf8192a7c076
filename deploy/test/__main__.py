"""The compose file, for real: brought up as it is, used as README.md says, hurt, and taken down again.

    make docker-test                  or: .venv/bin/python -m deploy.test [--keep]

Wants a Docker engine with `docker compose` 2.24 or later, and the base images or a registry that has them.
Everything runs in a copy of the working tree with a compose project, an image and ports of its own, and
is removed at the end, also after Ctrl-C. One line a step; it stops at the first that fails, shows the
containers' last lines, and ends with exit code 1. --keep leaves it all running, to be looked at.
"""

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

from deploy.test.installation import Installation, run
from deploy.test.steps import KILLED, Steps
from deploy.test.transcript import Failure, Transcript


def stop(number: int, frame: object) -> NoReturn:
    sys.exit(128 + number)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--keep", action="store_true", help="leave it running")
    options = parser.parse_args()
    if run(["docker", "info"]).returncode != 0:
        sys.exit("docker-test: no Docker engine answers (docker info)")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    transcript = Transcript()
    with tempfile.TemporaryDirectory(prefix="iot-docker-test-") as folder:
        name = f"iot-test-{os.getpid()}"
        installations = [
            Installation(Path(folder) / which, f"{name}-{which}", name) for which in ("first", "second")
        ]
        try:
            everything(Steps(transcript, installations[0]), installations[1])
        except (Failure, OSError) as failure:
            transcript.say(f"\n{failure}\n")
            for installation in installations:
                transcript.say(installation.logs())
            sys.exit(1)
        finally:
            if options.keep:
                input(f"it runs in {folder}; Enter takes it down ")
            for installation in installations:
                installation.remove()
        transcript.say(f"all of it holds, in {transcript.seconds():.0f} s")


def everything(steps: Steps, second: Installation) -> None:
    steps.build()
    steps.start()
    steps.use()
    steps.look_from_outside()
    steps.as_it_keeps()
    steps.start_load()
    for service in KILLED:
        steps.kill(service)
    steps.recover()
    steps.scale()
    steps.upgrade()
    steps.end_load()
    steps.down_and_up()
    steps.demo_board()
    steps.two_bridges()
    steps.restore()
    steps.tls()
    steps.second_installation(second)
    steps.other_broker(second)


if __name__ == "__main__":
    main()
