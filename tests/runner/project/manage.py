"""Stands in for Django: says what it was asked, and keeps the login as `first_run` does."""

import os
import sys
import time
from pathlib import Path

command = sys.argv[1]
if os.environ.get("FAIL") == command:
    print("RETENTION_DAYS: what Django says" if command == "check_settings" else "relation does not exist")
    sys.exit(3)
if command == "first_run":
    file = Path(os.environ["DATA_DIR"]) / "admin-password"
    file.touch(mode=0o600)
    file.write_text("correct-horse")
if command == "simulate":
    while True:
        time.sleep(60)
