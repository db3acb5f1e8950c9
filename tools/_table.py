"""Tables on a terminal by rich, in a pipe as plain lines that `awk` can read."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Cells of text: a head, rows, and rows below a line."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    foot: Sequence[Sequence[str]] = ()

    def lines(self) -> list[str]:
        """Right-aligned columns, two spaces apart."""
        every = (self.head, *self.rows, *self.foot)
        widths = [max(len(row[c]) for row in every) for c in range(len(self.head))]
        lines = [
            "  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in every
        ]
        if self.foot:
            lines.insert(1 + len(self.rows), "-" * len(lines[0]))
        return lines


def show(table: Table) -> None:
    """On stdout."""
    if not sys.stdout.isatty():
        print("\n".join(table.lines()))
        return
    # imported here: rich takes a tenth of a second, and a pipe does not need it
    from rich.console import Console
    from rich.table import Table as RichTable

    drawn = RichTable(show_edge=False)
    for title in table.head:
        drawn.add_column(title, justify="right")
    for k, row in enumerate(table.rows):
        drawn.add_row(*row, end_section=bool(table.foot) and k == len(table.rows) - 1)
    for row in table.foot:
        drawn.add_row(*row, style="bold")
    Console().print(drawn)


def number(value: float) -> str:
    """Four decimals; a small number by its digits; nan as a dash."""
    if math.isnan(value):
        return "-"
    return f"{value:.6f}" if 0 < abs(value) < 0.001 else f"{value:.4f}"
