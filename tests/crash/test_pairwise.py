"""A choice covers every pair, is small, and is the same each time."""

from dataclasses import dataclass
from itertools import combinations, product

from tests.crash.pairwise import Pair, choose, covered


@dataclass(frozen=True, slots=True)
class Thing:
    """Something with a trait in each dimension."""

    traits: tuple[str, ...]

    @property
    def pairs(self) -> frozenset[Pair]:
        """Every two of its traits."""
        return frozenset(combinations(self.traits, 2))


THINGS = [Thing(traits) for traits in product("abcde", "fghi", "jkl", "mn")]


def test_every_pair_is_chosen_by_few() -> None:
    """Of 120 things with 5, 4, 3 and 2 traits hardly more than 20 are needed."""
    chosen = choose(THINGS, least=0, seed=1)
    assert covered(chosen) == covered(THINGS)
    assert 20 <= len(chosen) <= 26


def test_a_seed_always_chooses_the_same() -> None:
    """And another seed chooses others."""
    assert choose(THINGS, least=0, seed=1) == choose(THINGS, least=0, seed=1)
    assert choose(THINGS, least=0, seed=1) != choose(THINGS, least=0, seed=2)


def test_no_fewer_are_chosen_than_asked_for() -> None:
    """The rest is chosen at will; all that there is can be had, and no more."""
    assert len(choose(THINGS, least=60, seed=1)) == 60
    assert choose(THINGS, least=1000, seed=1) == THINGS
