"""The thread that works for the loop: in order, one at a time, results in bunches."""

import asyncio
import threading
from functools import partial

import pytest

from boxoffice_server.storage.lane import Lane


async def test_work_is_done_in_the_order_it_was_given() -> None:
    """What is given first is done first, however many wait."""
    lane = Lane("test", most=4)
    done: list[int] = []
    await asyncio.gather(*(lane.do(partial(done.append, number)) for number in range(50)))
    lane.close()
    assert done == list(range(50))


async def test_failure_reaches_only_the_one_who_asked() -> None:
    """Among results that are handed over together, each caller gets its own."""
    lane = Lane("test", most=16)
    gate = threading.Event()
    results = asyncio.gather(
        lane.do(gate.wait),
        lane.do(lambda: 1),
        lane.do(lambda: 1 // 0),
        lane.do(lambda: 3),
        return_exceptions=True,
    )
    gate.set()
    first, second, third, fourth = await results
    lane.close()
    assert (first, second, fourth) == (True, 1, 3)
    assert isinstance(third, ZeroDivisionError)


async def test_one_who_left_does_not_keep_the_others_from_their_results() -> None:
    """A cancelled future is passed over."""
    lane = Lane("test", most=16)
    gate = threading.Event()
    waiting = lane.do(gate.wait)
    left, stayed = lane.do(lambda: 1), lane.do(lambda: 2)
    left.cancel()
    gate.set()
    assert await stayed == 2
    assert await waiting is True
    lane.close()
    with pytest.raises(asyncio.CancelledError):
        await left


async def test_closing_finishes_what_was_given() -> None:
    """Nothing that was handed in is dropped."""
    lane = Lane("test", most=2)
    done: list[int] = []
    futures = [lane.do(partial(done.append, number)) for number in range(10)]
    await asyncio.to_thread(lane.close)
    await asyncio.gather(*futures)
    assert done == list(range(10))
