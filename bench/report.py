"""Tables of the results, each number with its target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .measure import Spread, ratios

C = "C loop"
"""The usual baseline."""


@dataclass(frozen=True)
class Target:
    """The limit of a number, at least or at most."""

    value: float
    least: bool

    def reached(self, number: float) -> bool:
        return number >= self.value if self.least else number <= self.value

    def __str__(self) -> str:
        return f"{'>=' if self.least else '<='} {self.value:g}"


def at_least(value: float) -> Target:
    return Target(value, least=True)


def at_most(value: float) -> Target:
    return Target(value, least=False)


@dataclass(frozen=True)
class Row:
    """A number, a ratio or in ``unit``, with the measurement's spread and its target."""

    name: str
    number: Spread
    unit: str = "x"
    note: str = ""
    target: Target | None = None

    @property
    def verdict(self) -> str:
        """Whether the target is reached; empty without one."""
        if self.target is None:
            return ""
        return "reached" if self.target.reached(self.number.median) else "MISSED"

    @property
    def cells(self) -> tuple[str, ...]:
        spread = f"[{_short(self.number.low)} {_short(self.number.high)}]"
        number = f"{_short(self.number.median)} {self.unit}"
        return self.name, number, spread, str(self.target or ""), self.verdict, self.note


@dataclass
class Table:
    """A topic's results."""

    title: str
    rows: list[Row] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        rows = [row.cells for row in self.rows]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [self.title]
        for row in rows:
            cells = [
                cell.rjust(width) if 0 < i < 4 else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append(("  " + "  ".join(cells)).rstrip())
        return "\n".join([*lines, *(f"  ({remark})" for remark in self.remarks)])


def summary(tables: Mapping[str, Table]) -> str:
    """How many of the targets are reached, and which are not."""
    rows = [(topic, row) for topic, table in tables.items() for row in table.rows if row.target]
    missed = [(topic, row) for topic, row in rows if row.verdict == "MISSED"]
    lines = [f"targets: {len(rows) - len(missed)} reached, {len(missed)} missed"]
    for topic, row in missed:
        name, number, spread, target, verdict, _ = row.cells
        lines.append(f"  {verdict}  {topic}: {name.strip()}: {number} {spread}, not {target}")
    return "\n".join(lines)


def against_c(
    table: Table, found: dict[str, list[float]], targets: dict[str, Target], *, time: bool = False
) -> Table:
    """Rows for all but the C loop: speed over C's, or with ``time`` time over C's."""
    note = " ".join(f"{_seconds(Spread.of(found[C]).median)} {C}".split())
    table.remarks.insert(0, f"{'time' if time else 'speed'} over that of the {C}: {note}")
    for name, values in found.items():
        if name != C:
            ratio = ratios(values, found[C]) if time else ratios(found[C], values)
            shown = _seconds(Spread.of(values).median)
            table.rows.append(Row(name, ratio, note=shown, target=targets.get(name)))
    return table


def _seconds(value: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= size:
            return f"{value / size:.2f} {unit}"
    return f"{value * 1e9:.0f} ns"


def _short(number: float) -> str:
    """Three digits that matter."""
    if abs(number) >= 100:
        return f"{number:,.0f}"
    return f"{number:.3f}" if abs(number) < 3 else f"{number:.1f}"
