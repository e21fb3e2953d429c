"""What a benchmark says: rows of a baseline, ours and their ratio, from rounds taken in turn."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

T = TypeVar("T")

HEADINGS = ("measure", "unit", "baseline", "ours", "ratio", "against")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measure, once per round on either side. `against` says what the baseline is."""

    measure: str
    unit: str
    baseline: Sequence[float]
    ours: Sequence[float]
    against: str

    @property
    def ratio(self) -> float:
        """Ours in terms of the baseline: the median of the rounds' ratios.

        What slows the machine for one round slows both sides of it.
        """
        pairs = zip(self.ours, self.baseline, strict=True)
        return median(ours / baseline for ours, baseline in pairs)

    def cells(self) -> tuple[str, ...]:
        """Write the row's cells, in the order of HEADINGS."""
        return (
            self.measure,
            self.unit,
            number(median(self.baseline)),
            number(median(self.ours)),
            f"{self.ratio:.2f}",
            self.against,
        )


def table(rows: Sequence[Row]) -> str:
    """Align rows under their headings; numbers to the right."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    numbers = range(2, 5)
    return "\n".join(
        "  ".join(
            cell.rjust(width) if index in numbers else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def number(value: float) -> str:
    """Write a number with three digits that say something, and thousands apart."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def in_turns(rounds: int, measures: Mapping[str, Callable[[], T]]) -> dict[str, list[T]]:
    """Take every measure once per round, in their order: A B C, A B C and so on."""
    taken: dict[str, list[T]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            taken[name].append(measure())
    return taken


def quantile(values: Sequence[float], part: float) -> float:
    """Answer the value below which this part of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
