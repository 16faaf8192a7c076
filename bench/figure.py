"""A bar for each way, with a part for each process: an SVG that light and dark pages show alike."""

from collections.abc import Mapping
from html import escape
from itertools import cycle

_COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#888888", "#332288")
_LEFT, _WIDTH, _BAR, _GAP = 150, 560, 26, 18


def bars(title: str, ways: Mapping[str, Mapping[str, float]]) -> str:
    """`ways`: of each its parts; a part has the same colour in all of them."""
    parts = list(dict.fromkeys(part for way in ways.values() for part in way))
    colours = dict(zip(parts, cycle(_COLOURS), strict=False))
    most = max(sum(way.values()) for way in ways.values())
    height = 40 + len(ways) * (_BAR + _GAP) + 24 * -(-len(parts) // 4)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDTH + 70} {height}"'
        ' font-family="system-ui, sans-serif" font-size="13" role="img">',
        f"<title>{escape(title)}</title>",
        "<style>text{fill:#222}@media(prefers-color-scheme:dark){text{fill:#ddd}}</style>",
        f'<text x="0" y="16" font-weight="600">{escape(title)}</text>',
    ]
    y = 32
    for name, way in ways.items():
        x = float(_LEFT)
        out.append(f'<text x="{_LEFT - 8}" y="{y + 18}" text-anchor="end">{escape(name)}</text>')
        for part, value in way.items():
            width = value / most * _WIDTH
            out.append(
                f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{colours[part]}">'
                f"<title>{escape(part)}: {value:.1f}</title></rect>"
            )
            x += width
        out.append(f'<text x="{x + 6:.1f}" y="{y + 18}">{sum(way.values()):.1f}</text>')
        y += _BAR + _GAP
    for place, part in enumerate(parts):
        x, row = _LEFT + place % 4 * 145, y + 4 + place // 4 * 24
        out.append(f'<rect x="{x}" y="{row}" width="12" height="12" fill="{colours[part]}"/>')
        out.append(f'<text x="{x + 18}" y="{row + 11}">{escape(part)}</text>')
    return "\n".join([*out, "</svg>", ""])
