"""A watcher killed as a process, again and again, misses nothing of what a busy service does."""

import os
import random
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from boxoffice.common.v1 import streams_pb2
from boxoffice.orders.v1 import orders_pb2
from tests.e2e.watcher import kept
from tests.support.processes import Process
from tests.support.service import wait_until
from tests.support.serving import Service
from tests.support.story import Client, Story

KILLS = 12
WRITERS = 3
HERE = Path(__file__).parents[2]


def test_a_watcher_killed_again_and_again_keeps_every_event_once(
    service: Service, tmp_path: Path
) -> None:
    """Resumed by a new process from the token it kept, and then checked against the log itself."""
    file = tmp_path / "kept"
    # What the first process keeps may come from tests before this: it is all in the log.
    file.touch()
    with Client(service) as client:
        with load(client) as written:
            for _ in range(KILLS):
                with watcher(service, file) as process:
                    wait_more(file)
                    # Into whatever it is doing then.
                    time.sleep(random.uniform(0, 0.02))
                    process.kill()
        log = everything(client)
        with watcher(service, file):
            wait_until(lambda: len(kept(file)[0]) >= len(log), "the rest was not kept")
    seen, _ = kept(file)
    check_complete(seen, log)
    assert len(written) > 10 * KILLS
    assert set(written) <= set(seen)


@pytest.mark.parametrize("kind", ["lost", "repeated", "swapped"])
def test_the_check_notices(kind: str) -> None:
    """One event of a thousand that is lost, comes twice, or comes too early fails it."""
    log = [str(uuid.uuid4()) for _ in range(1000)]
    at = random.randrange(len(log) - 1)
    seen = log.copy()
    match kind:
        case "lost":
            del seen[at]
        case "repeated":
            seen.insert(at, seen[at])
        case _:
            seen[at], seen[at + 1] = seen[at + 1], seen[at]
    check_complete(log, log)
    with pytest.raises(AssertionError):
        check_complete(seen, log)


def check_complete(seen: Sequence[str], log: Sequence[str]) -> None:
    """Check that every event of the log was seen once, in the order of the log."""
    missing = set(log) - set(seen)
    assert not missing, f"{len(missing)} lost"
    assert len(seen) == len(set(seen)), "some came twice"
    assert list(seen) == list(log), "the order is another"


def wait_more(file: Path) -> None:
    """Wait until more is kept than now."""
    before = file.stat().st_size
    wait_until(lambda: file.stat().st_size > before, "nothing was kept")


@contextmanager
def watcher(service: Service, file: Path) -> Iterator[Process]:
    """Run a watcher that goes on from its file."""
    command = (sys.executable, "-m", "tests.e2e.watcher", service.grpc_address, file)
    path = os.pathsep.join(str(HERE / each) for each in (".", "src", "generated"))
    with Process(command, cwd=HERE, env={"PYTHONPATH": path}) as process:
        yield process


@contextmanager
def load(client: Client) -> Iterator[list[str]]:
    """Change orders without a pause; answers, at the end, the event of each change."""
    written: list[str] = []
    ended = threading.Event()

    def write(order_id: str) -> None:
        number = 0
        while not ended.is_set():
            number += 1
            tagged = orders_pb2.Order(id=order_id, tags=[f"{number}"])
            request = orders_pb2.UpdateOrderRequest(request_id=str(uuid.uuid4()), order=tagged)
            request.update_mask.paths.append("tags")
            client.orders.UpdateOrder(request, timeout=10)
        changes = orders_pb2.WatchOrdersRequest(
            order_id=order_id, start_position=streams_pb2.START_POSITION_EARLIEST
        )
        told = until_caught_up(client, changes)
        assert len(told) >= number
        written.extend(told)

    with ThreadPoolExecutor(WRITERS) as pool:
        try:
            running = [pool.submit(write, new_order(client)) for _ in range(WRITERS)]
            yield written
        finally:
            ended.set()
        for each in running:
            each.result()


def new_order(client: Client) -> str:
    """Make an order to change."""
    with Story(client) as story:
        story.ask_for_payment()
        listed = orders_pb2.ListOrdersRequest(user_id=story.user_id)
        return client.orders.ListOrders(listed, timeout=10).orders[0].id


def everything(client: Client) -> list[str]:
    """The ids of all events in the log, oldest first."""
    earliest = orders_pb2.WatchOrdersRequest(start_position=streams_pb2.START_POSITION_EARLIEST)
    return until_caught_up(client, earliest)


def until_caught_up(client: Client, request: orders_pb2.WatchOrdersRequest) -> list[str]:
    """Read a stream until it has told everything that is in the log."""
    told: list[str] = []
    call = client.orders.WatchOrders(request, timeout=30)
    for frame in call:
        told += [event.id for event in frame.events]
        if frame.HasField("caught_up"):
            break
    call.cancel()
    return told
