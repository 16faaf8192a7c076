"""Where settings come from: the process's environment, then `.env`, then what the runner wrote.

`make run` writes the addresses of the services it started into `DATA_DIR/environment`, so that
`manage.py shell` in another terminal finds them without being told.
"""

import os
from pathlib import Path

from process.environment import Environment

BASE_DIR = Path(__file__).resolve().parent.parent


def read_environment() -> Environment:
    """All three; a variable that is set is never overwritten by a file. `ENV_FILES=0` leaves both out."""
    env = Environment()
    if os.environ.get("ENV_FILES", "1") != "0":
        env.read_env(str(BASE_DIR / ".env"), recurse=False)
        data_dir = Path(os.environ.get("DATA_DIR") or ".data")
        env.read_env(str(BASE_DIR / data_dir / "environment"), recurse=False)
    return env
