"""A kill -9 of the service at any moment of a sale changes nothing about how the sale ends.

Each test brings a sale to one moment, kills the service, starts it again on the same database and
sandbox file, and has the caller send every request of the sale again.
"""

import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.relay import Relay
from tests.support.service import wait_until
from tests.support.serving import Service
from tests.support.story import CREATED, PAID, PATIENCE_SECONDS, Client, Story

HANGS_SECONDS = 30
INTENTS, CUSTOMERS = "/v1/payment_intents", "/v1/customers"


class Sale:
    """A sale under way, and what its moments need."""

    def __init__(self, service: Service, story: Story, relay: Relay) -> None:
        self.service, self.story, self.relay = service, story, relay
        self.stripe = service.stripe
        self._pool = ThreadPoolExecutor(1)
        self._begun: Future[object] | None = None

    def begin(self, step: Callable[[], object]) -> None:
        """Begin a step that the kill is to strike."""
        self._begun = self._pool.submit(step)

    def kill(self) -> None:
        """Kill the service, in the middle of what was begun."""
        assert self._begun is None or not self._begun.done(), "the kill came too late"
        self.service.kill()
        self.relay.close()

    def close(self) -> None:
        """Wait for the end of what was begun."""
        if self._begun is not None:
            self._begun.result(PATIENCE_SECONDS)
        self._pool.shutdown()


Moment = Callable[[Sale], None]


def product_made(sale: Sale) -> None:
    """Nothing but the product is there."""
    sale.story.make_product()


def customer_asked_for(sale: Sale) -> None:
    """Stripe has the request for the customer, and has not begun."""
    sale.story.make_product()
    sale.stripe.fault("latency", CUSTOMERS, seconds=HANGS_SECONDS)
    sale.begin(sale.story.ask_for_payment)
    sale.stripe.wait_struck()


def customer_made(sale: Sale) -> None:
    """Stripe has made the customer, and its answer is on the way."""
    sale.story.make_product()
    sale.stripe.fault("late", CUSTOMERS, seconds=HANGS_SECONDS)
    sale.begin(sale.story.ask_for_payment)
    wait_until(lambda: bool(sale.story.customers()), "no customer was made")


def intent_asked_for(sale: Sale) -> None:
    """Stripe has the request for the intent, and has not begun."""
    sale.story.make_product()
    sale.stripe.fault("latency", INTENTS, seconds=HANGS_SECONDS)
    sale.begin(sale.story.ask_for_payment)
    sale.stripe.wait_struck()
    assert not sale.story.intents()


def intent_made(sale: Sale) -> None:
    """Stripe has made the intent, and its answer is on the way."""
    sale.story.make_product()
    sale.stripe.fault("late", INTENTS, seconds=HANGS_SECONDS)
    sale.begin(sale.story.ask_for_payment)
    wait_until(lambda: bool(sale.story.intents()), "no intent was made")


def answer_lost(sale: Sale) -> None:
    """Stripe has made the intent, its answer was lost, and it is being asked again."""
    sale.story.make_product()
    sale.stripe.fault("reset_after", INTENTS, times=3)
    sale.begin(sale.story.ask_for_payment)
    wait_until(lambda: bool(sale.story.intents()), "no intent was made")


def payment_made(sale: Sale) -> None:
    """The caller has the payment, and the watcher has seen the order."""
    sale.story.ask_for_payment()
    sale.story.wait_for(CREATED)


def paid_at_stripe(sale: Sale) -> None:
    """The person has paid, and no webhook was sent yet."""
    sale.stripe.webhooks("hold")
    sale.story.pay()


def webhook_sent(sale: Sale) -> None:
    """A webhook was sent to the service, which has not read it."""
    sale.story.ask_for_payment()
    sale.relay.stand_between(sale.service)
    sale.service.running.signal(signal.SIGSTOP)
    sale.story.pay()
    sale.relay.wait_sent()


def webhook_kept(sale: Sale) -> None:
    """The service has kept a webhook, and Stripe does not know."""
    sale.story.ask_for_payment()
    sale.relay.stand_between(sale.service)
    sale.story.pay()
    sale.relay.wait_answered()


def paid(sale: Sale) -> None:
    """The watcher has seen that the order is paid."""
    sale.story.pay()
    sale.story.wait_for(PAID)


def task_offered(sale: Sale) -> None:
    """A worker holds the task and has not started it."""
    sale.story.pay()
    sale.story.receive_task()


def acknowledgement_sent(sale: Sale) -> None:
    """A worker has started the task, and the service has not read it."""
    sale.story.pay()
    sale.story.receive_task()
    sale.service.running.signal(signal.SIGSTOP)
    sale.begin(sale.story.acknowledge_task)


def task_acknowledged(sale: Sale) -> None:
    """A worker has started the task, and knows that the service knows."""
    sale.story.pay()
    sale.story.receive_task()
    sale.story.acknowledge_task()


def ended(sale: Sale) -> None:
    """The sale has ended, and the watcher watches on."""
    sale.story.tell()


def draining(sale: Sale) -> None:
    """The service drains, and waits for Stripe's answer."""
    sale.story.make_product()
    sale.stripe.fault("latency", INTENTS, seconds=HANGS_SECONDS)
    sale.begin(sale.story.ask_for_payment)
    sale.stripe.wait_struck()
    sale.service.running.terminate()
    sale.story.watcher.wait(
        lambda watcher: any(frame.HasField("going_away") for frame in watcher.frames), "going away"
    )


def starting_again(sale: Sale) -> None:
    """The service was killed once already, and has not come back yet."""
    sale.story.pay()
    sale.service.kill()
    sale.service.launch()
    # Its own imports take longer than the sandbox's.
    wait_until(lambda: listens(sale.service.sandbox_address), "the sandbox did not start")


# What a crashed instance asked Stripe for, another one takes up when its lease has run out; only a
# service that is alone on its file knows at once. test_replicas.py waits for the lease.
AT_STRIPE = (
    customer_asked_for,
    customer_made,
    intent_asked_for,
    intent_made,
    answer_lost,
    draining,
)
ANYWHERE = (
    *(product_made, payment_made, paid_at_stripe, webhook_sent, webhook_kept, paid),
    *(task_offered, acknowledgement_sent, task_acknowledged, ended, starting_again),
)
WITH_TASK = {paid, task_offered, acknowledgement_sent, task_acknowledged, ended}


@pytest.mark.parametrize("moment", ANYWHERE, ids=lambda moment: moment.__name__)
def test_a_kill_changes_no_sale(service: Service, moment: Moment) -> None:
    """Whatever was under way, the sale ends once and the watcher misses nothing."""
    survive(service, moment)


@pytest.mark.parametrize("moment", AT_STRIPE, ids=lambda moment: moment.__name__)
def test_a_kill_while_stripe_is_asked_asks_once(on_sqlite: Service, moment: Moment) -> None:
    """There is one customer, one intent and one order, whatever Stripe had done by then."""
    survive(on_sqlite, moment)


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_a_kill_while_the_database_is_made_leaves_one_that_can_be_made(
    store: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """A service killed again and again while it starts for the first time starts in the end."""
    url = request.getfixturevalue("postgres_url") if store == "postgresql" else ""
    service = Service(tmp_path, database_url=url)
    try:
        for hundredths in range(25, 55, 10):
            service.launch()
            # Nothing tells how far it is: each time it gets a little further.
            time.sleep(hundredths / 100)
            service.kill()
        service.start()
        with Client(service) as client, Story(client) as story:
            story.tell()
            story.check()
    finally:
        service.close()


def survive(service: Service, moment: Moment) -> None:
    """Kill the service at a moment of a new sale, and see the sale through."""
    function_name = "start_consult" if moment in WITH_TASK else ""
    with (
        Client(service) as client,
        Story(client, function_name=function_name) as story,
        Relay() as relay,
    ):
        sale = Sale(service, story, relay)
        try:
            moment(sale)
            sale.kill()
            service.start()
            service.calm()
        finally:
            sale.close()
        story.tell()
        story.check()


def listens(address: str) -> bool:
    """Tell whether something takes connections there."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True
