"""Kills at random times, with sales at every stage at once.

The names of the tests tell the seed; replayed, it gives the same kills at the same times, as far as
the machine allows.
"""

import os
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from boxoffice.payments.v1 import payments_pb2
from tests.support.postgres import PostgresServer
from tests.support.serving import Replicas, Service
from tests.support.story import PATIENCE_SECONDS, Client, Story

RUNS = 12
SALES = 4
# Longer than a sale takes here.
MOST_SECONDS = 0.5
SEED = os.environ["BOXOFFICE_TEST_SEED"]


@pytest.mark.parametrize("seed", [f"{SEED}-{run}" for run in range(RUNS)])
def test_kills_at_random_times_change_no_sale(on_sqlite: Service, seed: str) -> None:
    """Whatever the kills strike, each sale ends once and no watcher misses anything."""
    chance = random.Random(seed)
    with ExitStack() as opened:
        client = opened.enter_context(Client(on_sqlite))
        stories = [opened.enter_context(new_story(client, chance=chance)) for _ in range(SALES)]
        tell_all(stories, lambda: kill_at_random(on_sqlite, chance=chance))
        for story in stories:
            story.check()


def test_kills_of_either_replica_change_no_sale(
    replicas: Replicas, postgres_server: PostgresServer
) -> None:
    """The same with two replicas, where every request may go to either.

    The leases of the killed ones are ended by hand: test_replicas.py waits for theirs to run out.
    Those of the living end with them, which does no harm either.
    """
    url = replicas[0].environment["BOXOFFICE_DATABASE_URL"]

    def disturb() -> None:
        kill_at_random(*replicas, chance=chance)
        postgres_server.execute("UPDATE operations SET lease_time = 0", url=url)
        postgres_server.execute("UPDATE tasks SET available_time = 0", url=url)

    chance = random.Random(f"{SEED}-replicas")
    with ExitStack() as opened:
        clients = [opened.enter_context(Client(each)) for each in replicas]
        stories = [opened.enter_context(new_story(*clients, chance=chance)) for _ in range(SALES)]
        tell_all(stories, disturb)
        for story in stories:
            story.check()


def new_story(*clients: Client, chance: random.Random) -> Story:
    """Choose what is sold, and how it is paid."""
    currency, method_type = chance.choice(
        [
            ("usd", payments_pb2.PAYMENT_METHOD_TYPE_CARD),
            ("eur", payments_pb2.PAYMENT_METHOD_TYPE_BANCONTACT),
        ]
    )
    function_name = chance.choice(["", "start_consult"])
    return Story(*clients, currency=currency, method_type=method_type, function_name=function_name)


def tell_all(stories: Sequence[Story], disturb: Callable[[], object]) -> None:
    """Tell the stories at once, while something disturbs them, to their ends."""
    with ThreadPoolExecutor(len(stories)) as pool:
        told = [pool.submit(story.tell) for story in stories]
        disturb()
        for each in told:
            each.result(2 * PATIENCE_SECONDS)


def kill_at_random(*services: Service, chance: random.Random) -> None:
    """Kill each service at a random time, perhaps while it comes back too, and start it again."""
    for service in services:
        for _ in range(chance.choice([0, 0, 1])):
            time.sleep(chance.uniform(0, MOST_SECONDS))
            service.running.kill()
            service.launch()
        time.sleep(chance.uniform(0, MOST_SECONDS))
        service.running.kill()
        # At once, as a supervisor would: what the crash left must not be in its way.
        service.start()
        service.calm()
