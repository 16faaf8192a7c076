"""The Arduino sketch, compiled for this machine and run in a world of stub headers (see arduino/ here)."""

import functools
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from monitoring.decoders import Reading, decode

PROJECT = Path(__file__).parents[2]
SKETCH = PROJECT / "firmware" / "arduino"
STUBS = Path(__file__).parent / "arduino"
COMPILER = next(filter(None, map(shutil.which, ("g++", "c++", "clang++"))), None)
STRICT = ["-Wall", "-Wextra", "-Werror"]
SANITIZED = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]

NOON = 1769612875250  # 2026-01-28T15:07:55.250Z
DAY = 86_400_000
CERTIFICATE = "-----BEGIN CERTIFICATE-----\n" + "MIID" * 20 + "\n-----END CERTIFICATE-----"

of_the_sketch = pytest.mark.skipif(
    COMPILER is None, reason="no C++ compiler: with g++ (apt install g++) the Arduino sketch is tested"
)


class Event(NamedTuple):
    """Something that happened: milliseconds since the world began, what, and its fields."""

    at: int
    what: str
    fields: list[str]


class Publish(NamedTuple):
    at: int
    topic: str
    retained: bool
    acknowledged: bool
    payload: str

    @property
    def reading(self) -> Reading:
        [reading] = decode(self.payload.encode())
        assert isinstance(reading, Reading), reading
        return reading


class Run(NamedTuple):
    events: list[Event]

    def of(self, what: str) -> list[Event]:
        return [event for event in self.events if event.what == what]

    @property
    def serial(self) -> str:
        return "\n".join(event.fields[0] for event in self.of("serial"))

    @property
    def published(self) -> list[Publish]:
        """All of it; what was not acknowledged too."""
        found = []
        for event in self.of("publish"):
            topic, qos, retained, acknowledged, payload = event.fields
            assert qos == "1"
            found.append(Publish(event.at, topic, retained == "1", acknowledged == "1", payload))
        return found

    @property
    def measurements(self) -> list[Publish]:
        return [sent for sent in self.published if sent.topic.endswith("/measurements")]


def compile_cpp(source: Path, out: Path, *options: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(COMPILER), *STRICT, *map(str, options), str(source), "-o", str(out)]
    return subprocess.run(command, capture_output=True, text=True)


@functools.cache
def sanitizers() -> tuple[str, ...]:
    """What this compiler can do; a compiler without the runtime libraries can do nothing."""
    empty = subprocess.run(
        [str(COMPILER), *SANITIZED, "-x", "c++", "-", "-o", "/dev/null"],
        input="int main() {}",
        capture_output=True,
        text=True,
    )
    return tuple(SANITIZED) if empty.returncode == 0 else ()


Build = Callable[..., tuple[str, Path]]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Compiles the sketch with these settings, the others as in the example: its errors, and the program."""

    @functools.cache
    def build(**settings: object) -> tuple[str, Path]:
        folder = tmp_path_factory.mktemp("sketch")
        # A copy, so that nobody's own settings.h gets in.
        for name in ("sketch.ino", "settings_example.h", "readings.h", "timing.h", "explain.h"):
            shutil.copy(SKETCH / name, folder)
        if settings:
            text = (SKETCH / "settings_example.h").read_text()
            for name, value in settings.items():
                line = re.search(rf"^#define {name} .*|(?<=R\"{name}\()(?=\n)", text, re.MULTILINE)
                assert line is not None, f"{name} is not in settings_example.h"
                setting = f"#define {name} {value}" if line[0] else f"\n{value}"
                text = text[: line.start()] + setting + text[line.end() :]
            (folder / "settings.h").write_text(text)
        program = folder / "board"
        folders = ("-I", folder, "-I", STUBS)
        done = compile_cpp(STUBS / "run_sketch.cpp", program, "-std=gnu++20", *sanitizers(), *folders)
        return done.stderr, program

    return build


@pytest.fixture
def board(build: Build) -> Callable[..., Run]:
    """Runs the sketch in a world that follows the orders (tests/firmware/arduino/run_sketch.cpp)."""

    def board(*orders: str, **settings: object) -> Run:
        errors, program = build(**settings)
        assert errors == ""
        done = subprocess.run([program], input="\n".join(orders), capture_output=True, text=True, timeout=60)
        assert (done.stderr, done.returncode) == ("", 0)
        events = []
        for line in done.stdout.splitlines():
            at, what, *fields = line.split("\t")
            events.append(Event(int(at), what, fields))
        run = Run(events)
        assert all(int(event.fields[0]) >= 2000 for event in run.of("dht_read")), "a DHT22 takes 2 s"
        assert all(sent.reading for sent in run.measurements)
        assert all(sent.retained == sent.topic.startswith("iot/status/") for sent in run.published)
        return run

    return board


Board = Callable[..., Run]


@pytest.fixture(scope="session")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[str]]:
    """Questions to the headers by themselves (tests/firmware/arduino/headers.cpp), and their answers."""
    program = tmp_path_factory.mktemp("headers") / "headers"
    # As the ESP32's older Arduino cores compile; the sketch below as the newer ones do.
    done = compile_cpp(STUBS / "headers.cpp", program, "-std=gnu++11", *sanitizers(), "-I", SKETCH)
    assert done.stderr == ""

    def ask(*questions: str) -> list[str]:
        done = subprocess.run([program], input="\n".join(questions), capture_output=True, text=True)
        assert (done.stderr, done.returncode) == ("", 0)
        return done.stdout.splitlines()

    return ask


Ask = Callable[..., list[str]]
