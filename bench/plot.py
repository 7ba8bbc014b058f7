"""A picture of the measured ratios, for the README and the site."""

from __future__ import annotations

import html
from collections.abc import Mapping

from .report import Row, Table

_WIDTH, _LEFT, _ROW, _TITLE = 860, 300, 20, 34
_SCALE = (_WIDTH - _LEFT - 70) / 1.5  # pixels for a ratio of 1
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .topic { font-weight: 600 } .note { fill: #6e7781 }
  .ours { fill: #2f7d5b } .theirs { fill: #b08d57 } .line { stroke: #6e7781 }
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .note { fill: #9198a1 } }
"""


def svg(tables: Mapping[str, Table], caption: str) -> str:
    """An SVG with a bar for each speed-up of ``tables``, a whisker for its quartiles, and a line at
    1, which stands for the contender that is compared with."""
    parts: list[str] = []
    y = _TITLE
    for topic, table in tables.items():
        rows = [row for row in table.rows if row.unit == "x"]
        if rows and "".join(table.remarks[:1]).startswith("speed over"):
            parts.append(_text(8, y + 14, f"{topic}: {table.remarks[0]}", "topic"))
            parts += [_bar(row, y + _ROW * (i + 1)) for i, row in enumerate(rows)]
            y += _ROW * (len(rows) + 1) + 10
    one = _LEFT + _SCALE
    parts.insert(0, f'<line class="line" x1="{one:.0f}" x2="{one:.0f}" y1="{_TITLE}" y2="{y}"/>')
    parts.append(_text(8, y + 16, caption, "note"))
    size = f'width="{_WIDTH}" height="{y + 28}" viewBox="0 0 {_WIDTH} {y + 28}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    title = _text(8, 20, "Ratios: longer is faster, 1 is the contender that is named", "note")
    return "\n".join([head, f"<style>{_STYLE}</style>", title, *parts, "</svg>", ""])


def _bar(row: Row, y: int) -> str:
    kind = "ours" if row.name.startswith("ours") else "theirs"
    low, median, high = (
        _LEFT + min(number, 1.5) * _SCALE
        for number in (row.number.low, row.number.median, row.number.high)
    )
    middle = y + 9
    return (
        _text(24, y + 13, row.name.strip(), "")
        + f'<rect class="{kind}" x="{_LEFT}" y="{y + 3}" width="{median - _LEFT:.1f}" height="12"/>'
        + f'<line class="line" x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}"/>'
        + _text(int(max(high, median)) + 6, y + 13, f"{row.number.median:.2f}", "note")
    )


def _text(x: int, y: int, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x}" y="{y}">{html.escape(text)}</text>'
