"""The Wokwi projects: the diagram, its picture, the libraries and wokwi.toml, held against each other."""

import copy
import json
import re
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from firmware import wiring

FIRMWARE = Path(__file__).parents[2] / "firmware"
ARDUINO = FIRMWARE / "arduino"
DIAGRAMS = sorted(FIRMWARE.glob("*/diagram.json"))
SKETCH = (ARDUINO / "sketch.ino").read_text()
README = (FIRMWARE / "README.md").read_text()

# Which library brings a header, by its name in Arduino's library manager; None: the ESP32's core, or C++.
LIBRARIES = {
    "DHTesp.h": "DHT sensor library for ESPx",
    "MQTTClient.h": "MQTT",
    "WiFi.h": None,
    "WiFiClientSecure.h": None,
    "sys/time.h": None,
    "time.h": None,
}


def settings() -> dict[str, str]:
    text = (ARDUINO / "settings_example.h").read_text()
    return dict(re.findall(r"^#define (\w+) (.+)$", text, re.MULTILINE))


def read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text()))


def joined(diagram: dict[str, Any], kind: str, pin: str) -> set[str]:
    """The board's pins that a part's pin is wired to, through a resistor too."""
    types = {part["id"]: part["type"] for part in diagram["parts"]}
    [part] = [id for id, type in types.items() if type == kind]
    reached, found = set(), [wiring.Pin(part, pin)]
    while found:
        at = found.pop()
        reached.add(at)
        if types.get(at.part) == "wokwi-resistor":
            found += {wiring.Pin(at.part, other) for other in "12"} - reached
        if types.get(at.part) == "board-esp32-devkit-c-v4":
            continue
        for start, end, *_ in diagram["connections"]:
            ends = {wiring.pin(start), wiring.pin(end)}
            if at in ends:
                found += ends - reached
    return {at.name for at in reached if types.get(at.part) == "board-esp32-devkit-c-v4"}


@pytest.fixture
def diagram() -> dict[str, Any]:
    return copy.deepcopy(read(wiring.DIAGRAM))


# --- the diagram ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", DIAGRAMS, ids=lambda path: path.parent.name)
def test_parts_pins_and_attributes_are_wokwis(path: Path) -> None:
    diagram = read(path)

    wiring.check(diagram)
    assert set(diagram) <= {
        "version",
        "author",
        "editor",
        "parts",
        "connections",
        "serialMonitor",
        "dependencies",
    }
    assert diagram["version"] == 1


@pytest.mark.parametrize("path", DIAGRAMS, ids=lambda path: path.parent.name)
def test_each_part_is_wired_to_the_pin_that_the_settings_name(path: Path) -> None:
    diagram, named = read(path), settings()

    assert joined(diagram, "wokwi-dht22", "SDA") == {named["PIN_DHT"]}
    assert joined(diagram, "wokwi-photoresistor-sensor", "AO") == {named["PIN_LIGHT"]}
    assert joined(diagram, "wokwi-led", "A") == {named["PIN_LED"]}


@pytest.mark.parametrize("path", DIAGRAMS, ids=lambda path: path.parent.name)
def test_each_part_has_3_3_volts_and_ground(path: Path) -> None:
    """With 5 V at the photoresistor its AO would go over what the ESP32's pin bears."""
    diagram = read(path)

    for kind in ("wokwi-dht22", "wokwi-photoresistor-sensor"):
        assert joined(diagram, kind, "VCC") == {"3V3"}
        [ground] = joined(diagram, kind, "GND")
        assert ground.startswith("GND.")
    [ground] = joined(diagram, "wokwi-led", "C")
    assert ground.startswith("GND.")


@pytest.mark.parametrize("path", DIAGRAMS, ids=lambda path: path.parent.name)
def test_the_serial_monitor_is_connected(path: Path) -> None:
    ends = {tuple(connection[:2]) for connection in read(path)["connections"]}

    assert {("esp:TX", "$serialMonitor:RX"), ("esp:RX", "$serialMonitor:TX")} <= ends


def test_both_firmwares_have_the_same_diagram() -> None:
    """But for MicroPython's version, which wokwi.com takes from here: an older one does not do."""
    ours, theirs = (read(FIRMWARE / name / "diagram.json") for name in ("arduino", "micropython"))
    env = theirs["parts"][0]["attrs"].pop("env")

    assert theirs == ours
    found = re.fullmatch(r"micropython-\d{8}-v(\d+)\.(\d+)\.\d+", env)
    wanted = re.search(r"It wants MicroPython (\d+)\.(\d+)\s+or\s+later", README)
    assert found is not None
    assert wanted is not None
    assert tuple(map(int, found.groups())) >= tuple(map(int, wanted.groups()))


@pytest.mark.parametrize(
    ("where", "what", "says"),
    [
        (("connections", 3, 0), "dht22:DATA", "a wokwi-dht22 has no pin DATA"),
        (("connections", 3, 1), "esp:GND", "a board-esp32-devkit-c-v4 has no pin GND"),
        (("connections", 3, 0), "dht11:SDA", "no part has the id dht11"),
        (("connections", 0, 1), "$serialMonitor:RXD", "the serial monitor has no pin RXD"),
        (("connections", 3, 2), "pink", "no such colour here: pink"),
        (("parts", 1, "type"), "wokwi-dht23", "no such part: wokwi-dht23"),
        (("parts", 1, "attrs"), {"temperature": 21.4}, "must be a string, not 21.4"),
        (("parts", 1, "attrs"), {"temp": "21.4"}, "has no attribute temp"),
        (("parts", 1, "id"), "ldr", "two parts have the same id"),
    ],
)
def test_it_refuses_what_wokwi_does_not_know(
    diagram: dict[str, Any], where: tuple[Any, ...], what: Any, says: str
) -> None:
    *way, last = where
    place: Any = diagram
    for step in way:
        place = place[step]
    place[last] = what

    with pytest.raises(ValueError, match=re.escape(says)):
        wiring.check(diagram)


# --- the picture ---------------------------------------------------------------------------------


def test_the_picture_is_the_one_that_the_diagram_makes(diagram: dict[str, Any]) -> None:
    assert wiring.PICTURE.read_text() == wiring.picture(diagram), "run: python3 firmware/wiring.py"


def test_the_picture_names_each_wire(diagram: dict[str, Any]) -> None:
    root = ElementTree.fromstring(wiring.picture(diagram))
    texts = ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]

    assert "DHT22 SDA  –  ESP32 board 15" in texts
    assert len([text for text in texts if "  –  " in text]) == len(list(wiring.wires(diagram))) == 9


def test_every_wire_goes_from_pin_to_pin_and_never_askew(diagram: dict[str, Any]) -> None:
    for wire in wiring.wires(diagram):
        assert wire.points[0] == wiring.position(diagram, wire.start)
        assert wire.points[-1] == wiring.position(diagram, wire.end)
        for (x, y), (next_x, next_y) in zip(wire.points, wire.points[1:], strict=False):
            assert abs(x - next_x) < 0.3 or abs(y - next_y) < 0.3, wire


def test_it_follows_wokwis_instructions_on_both_sides_of_the_star(diagram: dict[str, Any]) -> None:
    """As Wokwi documents the format: what stands after the star begins at the target, and goes backwards."""
    diagram["connections"] = [["led:C", "esp:GND.3", "black", ["v10", "h5", "*", "v-15", "h10"]]]
    [wire] = wiring.wires(diagram)
    (x, y), (end_x, end_y) = wire.points[0], wire.points[-1]

    assert wire.points[1:3] == [(x, y + 10), (x + 5, y + 10)]
    assert wire.points[-3:-1] == [(end_x + 10, end_y - 15), (end_x + 10, end_y)]


# --- libraries, wokwi.toml, and what the README says ---------------------------------------------


def test_libraries_txt_lists_what_the_sketch_includes() -> None:
    included = set(re.findall(r"^#include <(.+)>", SKETCH, re.MULTILINE))
    assert included <= set(LIBRARIES), "say in LIBRARIES where the new header comes from"
    lines = (ARDUINO / "libraries.txt").read_text().splitlines()
    listed = {line.partition("@")[0] for line in lines if line and not line.startswith("#")}

    assert listed == {library for header, library in LIBRARIES.items() if header in included and library}


def test_own_headers_are_there_and_are_named_where_files_are_pasted() -> None:
    own = set(re.findall(r'^#include "(.+)"', SKETCH, re.MULTILINE)) - {"settings.h"}

    for name in own | {"sketch.ino", "diagram.json", "libraries.txt"}:
        assert (ARDUINO / name).exists(), name
        assert f"`{name}`" in README, f"firmware/README.md does not say that {name} is to be pasted"


def test_headers_need_nothing_of_arduinos() -> None:
    for name in ("readings.h", "timing.h", "explain.h"):
        included = re.findall(r"^#include (.+)", (ARDUINO / name).read_text(), re.MULTILINE)
        assert all(re.fullmatch(r"<(math|std\w+)\.h>", header) for header in included), name


def test_wokwi_toml_names_what_the_documented_build_makes() -> None:
    project = tomllib.loads((ARDUINO / "wokwi.toml").read_text())["wokwi"]
    [folder] = set(re.findall(r"^ *arduino-cli compile .*--output-dir (\S+)", README, re.MULTILINE))

    assert project == {
        "version": 1,
        "firmware": f"{folder}/sketch.ino.bin",
        "elf": f"{folder}/sketch.ino.elf",
    }


def test_micropythons_files_are_named_where_they_are_uploaded() -> None:
    page = README[README.index("## MicroPython") :]
    for path in (FIRMWARE / "micropython").iterdir():
        if path.is_file() and path.name not in ("settings.py", "micropython.bin"):
            assert f"`{path.name}`" in page, f"firmware/README.md does not say that {path.name} is needed"


def test_micropythons_wokwi_toml_is_as_documented() -> None:
    project = tomllib.loads((FIRMWARE / "micropython" / "wokwi.toml").read_text())["wokwi"]
    [port] = re.findall(r"rfc2217://localhost:(\d+)", README)

    assert project == {
        "version": 1,
        "firmware": "micropython.bin",
        "elf": "micropython.bin",
        "rfc2217ServerPort": int(port),
    }
    assert "`micropython.bin`" in README


def test_the_documented_build_installs_the_libraries() -> None:
    lines = (ARDUINO / "libraries.txt").read_text().splitlines()
    for library in (line for line in lines if line and not line.startswith("#")):
        assert f'"{library}"' in README, library


def test_the_readmes_table_of_settings_is_whole() -> None:
    rows = set(re.findall(r"^\| `([A-Z_]+)`", README, re.MULTILINE)) | {
        name
        for row in re.findall(r"^\| (`.+?`) \|", README, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }

    assert {*settings(), "MQTT_CA_CERTIFICATE"} <= rows
    example = (FIRMWARE / "micropython" / "settings_example.py").read_text()
    own = set(re.findall(r"^([A-Z_]+) = ", example, re.MULTILINE))
    assert {f"`{name}`" for name in own - rows} <= set(re.findall(r"`\w+`", README))


def test_links_of_the_readme_lead_somewhere() -> None:
    headings = re.findall(r"^#+ (.+)$", README, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", README) if "://" not in link]

    assert len(links) > 10
    for link in links:
        assert link.removeprefix("#") in anchors if link.startswith("#") else (FIRMWARE / link).exists(), link
