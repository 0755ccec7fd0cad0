"""The rows of the bench and their Markdown table.

Leaves measuring to the modules beside it and the choice of sections to `__main__`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

NO_GOAL = "–"
"""The goal of a figure that is only told; it is neither met nor missed."""


@dataclass(frozen=True, slots=True)
class Row:
    """One measured figure beside its goal.

    `goal` is written as a person reads it ("≤ 1.0 s"); `met` is decided by whoever measured, because only there the
    direction of the comparison is known. `peer` is the same figure, in the same unit, of the tool we compare with.
    """

    measure: str
    ours: float
    unit: str
    peer: float | None
    goal: str
    met: bool
    note: str


def markdown(rows: Sequence[Row]) -> str:
    """Renders rows as one Markdown table, aligned for people who read the source."""
    head = ("Measure", "Gatehouse", "Peer", "Ratio", "Goal", "Met", "How")
    cells = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, str, str, str, str, str, str]:
    ratio = f"{row.ours / row.peer:.2f}" if row.peer else "–"
    peer = f"{_figure(row.peer)} {row.unit}" if row.peer is not None else "–"
    verdict = "–" if row.goal == NO_GOAL else "yes" if row.met else "**no**"
    measure, note = row.measure.replace("|", "\\|"), row.note.replace("|", "\\|")
    return (measure, f"{_figure(row.ours)} {row.unit}", peer, ratio, row.goal, verdict, note)


def _figure(value: float) -> str:
    """Three significant digits, as far as a bench on a shared machine can be trusted."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
