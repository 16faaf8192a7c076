"""Draws wiring.svg from arduino/diagram.json, as Wokwi would place the parts: `python3 firmware/wiring.py`.

Standard library only. Raises ValueError for a part, an attribute or a pin that Wokwi does not have.
"""

import json
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
DIAGRAM = HERE / "arduino" / "diagram.json"
PICTURE = HERE / "wiring.svg"

MM = 96 / 25.4
"""Wokwi's pixels are a browser's."""
SCALE = 2.0
MARGIN = 34
KEY_LINE = 26

INK, PAPER, EDGE = "#1f2933", "#fbfaf6", "#d7d3c7"
COLOURS = {"red": "#d1242f", "black": "#2b2b2b", "gold": "#c98a00", "blue": "#1f6feb", "green": "#1a7f37"}

Point = tuple[float, float]


class Part(NamedTuple):
    """A kind of part: its name for people, its size and pins in Wokwi's pixels, the attributes it takes."""

    name: str
    size: Point
    pins: dict[str, Point]
    attributes: frozenset[str]
    draw: Callable[[dict[str, str]], str]


class Pin(NamedTuple):
    part: str
    name: str


class Wire(NamedTuple):
    start: Pin
    end: Pin
    colour: str
    points: list[Point]


# --- what the parts look like, at their own scale ------------------------------------------------


def _rect(x: float, y: float, width: float, height: float, fill: str, more: str = "") -> str:
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{fill}" {more}/>'


def _text(x: float, y: float, text: str, size: float = 7, fill: str = "#fff", more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{fill}" {more}>{escape(text)}</text>'


def _esp32(attributes: dict[str, str]) -> str:
    middle = 'text-anchor="middle"'
    antenna = "M36 6V14H43V6H50V14H57V6H64V14H70"
    header = "".join(_rect(x - 3, 25, 6, 180, "#111827", 'rx="1.5"') for x in (4.6, 100.8))
    return (
        _rect(0, 0, 105.4, 214, "#24292f", 'rx="4"')
        + header
        + _rect(31, 2, 43.4, 88, "#b8bfc6", 'rx="2" stroke="#8b949e"')
        + _rect(31, 2, 43.4, 17, "#1c2128", 'rx="2"')
        + f'<path d="{antenna}" fill="none" stroke="#d4a72c" stroke-width="1.6"/>'
        + _text(52.7, 50, "ESP32", 11, "#24292f", f'{middle} font-weight="700"')
        + _text(52.7, 62, "DevKitC V4", 6.5, "#24292f", middle)
        + _rect(36, 192, 33, 24, "#c9d1d9", 'rx="3" stroke="#8b949e"')
        + _text(52.7, 187, "USB", 7, "#c9d1d9", middle)
    )


def _dht22(attributes: dict[str, str]) -> str:
    slots = "".join(
        _rect(x, y, 4.4, 9, "#9fb1c4", 'rx="1.5"') for x in (12, 21.5, 31.5, 41) for y in (26, 40, 54, 68)
    )
    legs = "".join(_rect(x - 1, 92, 2, 23, "#8b949e") for x, _ in DHT22_PINS.values())
    return (
        legs
        + _rect(0, 4, 57.6, 90, "#e6edf3", 'rx="4" stroke="#9fb1c4"')
        + '<circle cx="28.8" cy="13" r="5" fill="#fbfaf6" stroke="#9fb1c4"/>'
        + slots
        + _text(28.8, 88, "DHT22", 8, "#24292f", 'text-anchor="middle" font-weight="700"')
    )


def _photoresistor(attributes: dict[str, str]) -> str:
    legs = "".join(_rect(148, y - 1, 24, 2, "#8b949e") for _, y in PHOTORESISTOR_PINS.values())
    names = "".join(
        _text(141, y + 2.4, name, 7, "#fff", 'text-anchor="end"')
        for name, (_, y) in PHOTORESISTOR_PINS.items()
    )
    return (
        _rect(17, 0, 136, 61.5, "#1c2f5e", 'rx="3"')
        + legs
        + names
        + _rect(144, 11, 8, 40, "#111827")
        + '<path d="M2 25H20M2 37H20" stroke="#8b949e" stroke-width="1.6"/>'
        + '<ellipse cx="6" cy="31" rx="6" ry="11" fill="#e8a87c" stroke="#b4632f"/>'
        + '<path d="M6 22v4h-3v4h6v4h-6v4h3" fill="none" stroke="#7d3c10"/>'
        + _rect(62, 14, 30, 30, "#4f7cc4", 'rx="2"')
        + '<circle cx="77" cy="29" r="7" fill="#dbe4f0"/><path d="M72 29h10M77 24v10" stroke="#444c56"/>'
        + _text(84, 56, "photoresistor", 7.5, "#fff", 'text-anchor="middle" font-weight="700"')
    )


def _led(attributes: dict[str, str]) -> str:
    colour = COLOURS.get(attributes.get("color", "red"), attributes.get("color", "red"))
    return (
        '<path d="M15 42V28M25 42V36L22 32V28" fill="none" stroke="#8b949e" stroke-width="2"/>'
        + f'<path d="M10 26V12a10 10 0 0 1 20 0V26z" fill="{colour}" fill-opacity=".75" stroke="{colour}"/>'
        + f'<rect x="8" y="25" width="24" height="4.5" rx="1.5" fill="{colour}"/>'
        + '<path d="M14.5 13a6 6 0 0 1 4-5" fill="none" stroke="#fff" stroke-width="1.5"/>'
    )


BANDS = [
    "#111",
    "#7a4a21",
    "#d1242f",
    "#e8590c",
    "#f2c200",
    "#1a7f37",
    "#1f6feb",
    "#8250df",
    "#8b949e",
    "#fff",
]


def _resistor(attributes: dict[str, str]) -> str:
    ohms = float(attributes.get("value", "220"))
    zeros = len(str(int(ohms))) - 2
    digits = [int(digit) for digit in str(int(ohms))[:2]] + [zeros]
    stripes = "".join(
        _rect(x, 0.7, 3.4, 10, BANDS[n], 'rx=".5"') for x, n in zip((19, 25.5, 32), digits, strict=True)
    )
    return (
        '<path d="M0 5.65H58.8" stroke="#8b949e" stroke-width="2"/>'
        + _rect(13, 0.2, 33, 11, "#e8d7ae", 'rx="4" stroke="#b59b5b"')
        + stripes
        + _rect(39, 0.7, 3, 10, "#d4a72c", 'rx=".5"')
    )


# --- which parts there are: from Wokwi's documentation, wokwi-elements and wokwi-boards ----------

_LEFT = [
    "3V3",
    "EN",
    "VP",
    "VN",
    "34",
    "35",
    "32",
    "33",
    "25",
    "26",
    "27",
    "14",
    "12",
    "GND.1",
    "13",
    "D2",
    "D3",
    "CMD",
    "5V",
]
_RIGHT = [
    "GND.2",
    "23",
    "22",
    "TX",
    "RX",
    "21",
    "GND.3",
    "19",
    "18",
    "5",
    "17",
    "16",
    "4",
    "0",
    "2",
    "15",
    "D1",
    "D0",
    "CLK",
]
ESP32_PINS: dict[str, Point] = {
    name: (x * MM, (7.62 + 2.54 * row) * MM)
    for x, names in ((1.22, _LEFT), (26.66, _RIGHT))
    for row, name in enumerate(names)
}
DHT22_PINS: dict[str, Point] = {
    "VCC": (15, 114.9),
    "SDA": (24.5, 114.9),
    "NC": (34.1, 114.9),
    "GND": (43.8, 114.9),
}
PHOTORESISTOR_PINS: dict[str, Point] = {
    "VCC": (172, 16),
    "GND": (172, 26),
    "DO": (172, 35.8),
    "AO": (172, 45.5),
}

PARTS = {
    "board-esp32-devkit-c-v4": Part(
        "ESP32 board",
        (105.4, 216),
        ESP32_PINS,
        # env: which MicroPython wokwi.com puts onto it.
        frozenset(
            {"flashSize", "psramSize", "psramType", "firmwareOffset", "macAddress", "cpuFrequency", "env"}
        ),
        _esp32,
    ),
    "wokwi-dht22": Part("DHT22", (57.6, 114.9), DHT22_PINS, frozenset({"temperature", "humidity"}), _dht22),
    "wokwi-photoresistor-sensor": Part(
        "photoresistor",
        (172, 61.5),
        PHOTORESISTOR_PINS,
        frozenset({"lux", "threshold", "rl10", "gamma"}),
        _photoresistor,
    ),
    "wokwi-led": Part(
        "LED",
        (40, 42),
        {"A": (25, 42), "C": (15, 42)},
        frozenset({"color", "lightColor", "label", "gamma", "flip", "fps"}),
        _led,
    ),
    "wokwi-resistor": Part(
        "resistor", (58.8, 11.3), {"1": (0, 5.65), "2": (58.8, 5.65)}, frozenset({"value"}), _resistor
    ),
}
SERIAL_MONITOR = {"RX", "TX"}


# --- reading the diagram -------------------------------------------------------------------------


def check(diagram: dict[str, Any]) -> None:
    """Raises ValueError for what Wokwi would not understand, or would silently leave out."""
    ids = [part["id"] for part in diagram["parts"]]
    if len(set(ids)) != len(ids):
        raise ValueError(f"two parts have the same id: {ids}")
    for part in diagram["parts"]:
        if part["type"] not in PARTS:
            raise ValueError(f"{part['id']}: no such part: {part['type']}")
        for name, value in part.get("attrs", {}).items():
            if name not in PARTS[part["type"]].attributes:
                raise ValueError(f"{part['id']}: a {part['type']} has no attribute {name}")
            if not isinstance(value, str):
                raise ValueError(f"{part['id']}: the attribute {name} must be a string, not {value!r}")
    for connection in diagram["connections"]:
        for end in connection[:2]:
            position(diagram, pin(end))
        if connection[2] and connection[2] not in COLOURS:
            raise ValueError(f"{connection[:2]}: no such colour here: {connection[2]}")


def pin(end: str) -> Pin:
    part, _, name = end.partition(":")
    return Pin(part, name)


def position(diagram: dict[str, Any], at: Pin) -> Point | None:
    """Where the pin is; None for the serial monitor's, which are nowhere."""
    if at.part == "$serialMonitor":
        if at.name not in SERIAL_MONITOR:
            raise ValueError(f"the serial monitor has no pin {at.name}")
        return None
    for part in diagram["parts"]:
        if part["id"] == at.part:
            pins = PARTS[part["type"]].pins
            if at.name not in pins:
                raise ValueError(f"a {part['type']} has no pin {at.name}; it has {', '.join(pins)}")
            x, y = pins[at.name]
            return part.get("left", 0) + x, part.get("top", 0) + y
    raise ValueError(f"no part has the id {at.part}")


def wires(diagram: dict[str, Any]) -> Iterator[Wire]:
    """The wires that are seen, in the diagram's order."""
    for connection in diagram["connections"]:
        start, end, colour = pin(connection[0]), pin(connection[1]), connection[2]
        steps = connection[3] if len(connection) > 3 else []
        first, last = position(diagram, start), position(diagram, end)
        if not colour or first is None or last is None:
            continue
        middle = steps.index("*") if "*" in steps else len(steps)
        ahead, back = [first], [last]
        for step in steps[:middle]:
            ahead.append(_moved(ahead[-1], step))
        for step in reversed(steps[middle + 1 :]):
            back.append(_moved(back[-1], step))
        if ahead[-1][0] != back[-1][0] and ahead[-1][1] != back[-1][1]:
            ahead.append((back[-1][0], ahead[-1][1]))
        yield Wire(start, end, colour, ahead + back[::-1])


def _moved(at: Point, step: str) -> Point:
    length = float(step[1:])
    return (at[0] + length, at[1]) if step[0] == "h" else (at[0], at[1] + length)


# --- drawing -------------------------------------------------------------------------------------


def picture(diagram: dict[str, Any]) -> str:
    """The diagram as SVG: parts, wires, the names of the pins that are used, and a list of the wires."""
    check(diagram)
    drawn = list(wires(diagram))
    corners = [point for wire in drawn for point in wire.points]
    for part in diagram["parts"]:
        width, height = PARTS[part["type"]].size
        corners += [(part["left"], part["top"]), (part["left"] + width, part["top"] + height)]
    left, top = min(x for x, _ in corners), min(y for _, y in corners)
    right, bottom = max(x for x, _ in corners), max(y for _, y in corners)
    width = (right - left) * SCALE + 2 * MARGIN
    drawing_height = (bottom - top) * SCALE + 2 * MARGIN
    rows = -(-len(drawn) // 2)
    height = drawing_height + rows * KEY_LINE + 24

    def on_paper(point: Point) -> Point:
        return (point[0] - left) * SCALE + MARGIN, (point[1] - top) * SCALE + MARGIN

    said = "; ".join(f"{_full(diagram, wire.start)} to {_full(diagram, wire.end)}" for wire in drawn)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img" aria-labelledby="title desc" '
        "font-family=\"system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif\">",
        '<title id="title">The wiring of the board</title>',
        f'<desc id="desc">{escape(said)}</desc>',
        _rect(0.5, 0.5, width - 1, height - 1, PAPER, f'rx="10" stroke="{EDGE}"'),
    ]
    for part in diagram["parts"]:
        x, y = on_paper((part["left"], part["top"]))
        shape = PARTS[part["type"]].draw(part.get("attrs", {}))
        lines.append(f'<g transform="translate({x:.1f} {y:.1f}) scale({SCALE:g})">{shape}</g>')
    lines += _wires(drawn, on_paper)
    lines += _labels(diagram, drawn, on_paper)
    lines += _key(diagram, drawn, width, drawing_height)
    return "\n".join(lines) + "\n</svg>\n"


def _wires(drawn: list[Wire], on_paper: Callable[[Point], Point]) -> Iterator[str]:
    """Colour by colour, each with an edge of paper, so that it is seen which of two passes over the other."""
    for colour in dict.fromkeys(wire.colour for wire in drawn):
        same = [[on_paper(point) for point in wire.points] for wire in drawn if wire.colour == colour]
        for stroke, thickness in ((PAPER, 8), (COLOURS[colour], 4)):
            for points in same:
                yield _line(points, stroke, thickness)
        for x, y in (end for points in same for end in (points[0], points[-1])):
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{COLOURS[colour]}" stroke="{PAPER}"/>'


def _line(points: list[Point], stroke: str, thickness: float) -> str:
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    ends = 'stroke-linejoin="round" stroke-linecap="round"'
    return f'<path d="{path}" fill="none" stroke="{stroke}" stroke-width="{thickness:g}" {ends}/>'


def _labels(diagram: dict[str, Any], drawn: list[Wire], on_paper: Callable[[Point], Point]) -> Iterator[str]:
    """The names of the pins that have a wire; the photoresistor's are part of its drawing."""
    types = {part["id"]: part["type"] for part in diagram["parts"]}
    bold, halo = 'font-weight="700"', f'paint-order="stroke" stroke="{PAPER}" stroke-width="3"'
    for at in dict.fromkeys(end for wire in drawn for end in (wire.start, wire.end)):
        where = position(diagram, at)
        if where is None or types[at.part] in ("wokwi-photoresistor-sensor", "wokwi-resistor"):
            continue
        x, y = on_paper(where)
        if types[at.part] == "board-esp32-devkit-c-v4":
            inside, anchor = (12, "start") if at.name in _LEFT else (-12, "end")
            name = at.name.split(".")[0]
            yield _text(x + inside, y + 4.5, name, 13, "#fff", f'text-anchor="{anchor}" {bold}')
        elif types[at.part] == "wokwi-dht22":
            x, y = x + 4.5, y - 8
            yield _text(x, y, at.name, 12, INK, f'{bold} {halo} transform="rotate(-90 {x:.1f} {y:.1f})"')
        else:
            beside, anchor = (9, "start") if at.name == "A" else (-9, "end")
            yield _text(x + beside, y - 6, at.name, 12, INK, f'text-anchor="{anchor}" {bold}')


def _key(diagram: dict[str, Any], drawn: list[Wire], width: float, top: float) -> Iterator[str]:
    rows = -(-len(drawn) // 2)
    for index, wire in enumerate(drawn):
        column, row = divmod(index, rows)
        x, y = MARGIN + column * (width - MARGIN) / 2, top + 8 + row * KEY_LINE
        yield _line([(x, y - 4.5), (x + 34, y - 4.5)], COLOURS[wire.colour], 4)
        yield _text(x + 46, y, f"{_full(diagram, wire.start)}  –  {_full(diagram, wire.end)}", 15, INK)


def _full(diagram: dict[str, Any], at: Pin) -> str:
    """A pin's name for people: "DHT22 SDA", "ESP32 board 15"."""
    [part] = [part for part in diagram["parts"] if part["id"] == at.part]
    kind = PARTS[part["type"]]
    if part["type"] == "wokwi-resistor":
        return f"{kind.name} ({part['attrs']['value']} Ω)"
    return f"{kind.name} {at.name.split('.')[0]}"


if __name__ == "__main__":
    PICTURE.write_text(picture(json.loads(DIAGRAM.read_text())))
