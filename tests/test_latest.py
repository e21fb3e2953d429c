"""A memory of bounded size."""

from boxoffice_server.latest import Latest

MOST = 3


def filled() -> Latest[int]:
    """One that holds as much as it may."""
    latest: Latest[int] = Latest(MOST)
    for number in range(MOST):
        latest.keep(str(number), number)
    return latest


def held(latest: Latest[int]) -> list[int]:
    """All that it holds; asks for each."""
    return [number for number in range(MOST + 2) if latest.get(str(number)) is not None]


def test_oldest_is_let_go() -> None:
    """So many are kept at most."""
    latest = filled()
    latest.keep("3", 3)
    assert held(latest) == [1, 2, 3]


def test_what_was_asked_for_or_kept_again_stays() -> None:
    """Either is as good as new."""
    latest = filled()
    assert latest.get("0") == 0
    latest.keep("1", 1)
    latest.keep("3", 3)
    latest.keep("4", 4)
    assert held(latest) == [1, 3, 4]


def test_what_was_taken_is_gone() -> None:
    """It is given out once."""
    latest = filled()
    assert latest.take("1") == 1
    assert latest.take("1") is None
    assert held(latest) == [0, 2]


def test_nothing_is_left_of_what_was_cleared() -> None:
    """Whatever it was."""
    latest = filled()
    latest.clear()
    assert held(latest) == []
