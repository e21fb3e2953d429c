"""A small choice of cells in which all comes together that can come together, two by two."""

import random
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

Pair = tuple[str, str]


class HasPairs(Protocol):
    """What is chosen from."""

    @property
    def pairs(self) -> frozenset[Pair]:
        """What comes together in it."""
        ...


T = TypeVar("T", bound=HasPairs)


def choose(everything: Sequence[T], *, least: int, seed: int) -> list[T]:
    """Choose until every pair is covered, and at least so many; the same ones for each seed.

    The next one is always one that covers the most pairs which are not covered yet. What is chosen
    keeps the order that it came in.
    """
    order = list(range(len(everything)))
    random.Random(seed).shuffle(order)
    pairs = {index: everything[index].pairs for index in order}
    left = set(covered(everything))
    chosen: set[int] = set()
    while left:
        best = max(order, key=lambda index: len(pairs[index] & left))
        chosen.add(best)
        left -= pairs[best]
    more = (index for index in order if index not in chosen)
    while len(chosen) < min(least, len(everything)):
        chosen.add(next(more))
    return [everything[index] for index in sorted(chosen)]


def covered(chosen: Iterable[HasPairs]) -> frozenset[Pair]:
    """List all pairs that some of them have."""
    return frozenset().union(*(each.pairs for each in chosen))
