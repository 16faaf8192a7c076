"""``python -m runner run``: what `make run` starts once .venv is there."""

import os
import signal
import sys


def main() -> int:
    # Until somebody knows better there is nothing to stop, and a traceback helps nobody: hence the order.
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))

    import argparse
    from pathlib import Path

    from runner import guard, words
    from runner.console import Console, clear_error
    from runner.problem import Problem

    parser = argparse.ArgumentParser(prog="python -m runner")
    parser.add_argument(
        "command", choices=["run", "supervise"], help="run: everything; supervise: run's other half"
    )
    parser.add_argument("--project", type=Path, default=guard.ROOT, help="where manage.py and Procfile are")
    parser.add_argument("--parent", type=int, help="stop when this process, our parent, ends")
    arguments = parser.parse_args()
    project = arguments.project.absolute()
    try:
        if arguments.command == "run":
            return guard.run(project, arguments.parent)
        from runner import supervisor  # what it imports is not for the guard's memory

        return supervisor.run(project)
    except Problem as problem:
        Console(words.language(project)).problem(str(problem))
    except OSError as error:
        Console(words.language(project)).problem(clear_error(error))
    return 1


if __name__ == "__main__":
    sys.exit(main())
