"""Two replicas on one database: whatever one does, the other goes on with."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from boxoffice.payments.v1 import payments_pb2
from tests.support.service import wait_until
from tests.support.serving import Replicas
from tests.support.story import CREATED, PAID, PATIENCE_SECONDS, Client, Story

# Less than what the service gives Stripe for one answer, and than a lease.
HANGS_SECONDS = 9.5


def test_a_sale_spans_both_replicas(replicas: Replicas) -> None:
    """The webhook arrives at one and the watcher and the worker are at the other."""
    with (
        Client(replicas[0]) as one,
        Client(replicas[1]) as other,
        Story(one, watch_at=[other], function_name="start_consult") as story,
    ):
        story.ask_for_payment()
        story.wait_for(CREATED)
        story.pay()
        story.wait_for(PAID)
        story.clients = (other,)
        story.receive_task()
        story.clients = (one,)
        story.tell()
        story.check()


def test_a_task_offered_at_one_is_acknowledged_at_the_other(replicas: Replicas) -> None:
    """A lease holds everywhere."""
    with (
        Client(replicas[0]) as one,
        Client(replicas[1]) as other,
        Story(one, function_name="start_consult") as story,
    ):
        story.pay()
        story.receive_task()
        story.clients = (other,)
        story.tell()
        story.check()


def test_a_payment_made_at_one_is_answered_again_by_the_other(replicas: Replicas) -> None:
    """The answer is the same to the last field."""
    with Client(replicas[0]) as one, Client(replicas[1]) as other, Story(one) as story:
        request = request_for(story)
        first = one.payments.CreatePaymentIntent(request, timeout=10)
        assert other.payments.CreatePaymentIntent(request, timeout=10) == first
        assert len(story.intents()) == 1


def test_a_payment_asked_for_at_both_at_once_is_made_once(replicas: Replicas) -> None:
    """Both callers get the one answer."""
    with (
        Client(replicas[0]) as one,
        Client(replicas[1]) as other,
        Story(one) as story,
        ThreadPoolExecutor(2) as pool,
    ):
        request = request_for(story)
        one.service.stripe.fault("latency", seconds=0.3)
        calls = [
            pool.submit(each.payments.CreatePaymentIntent, request, timeout=10)
            for each in (one, other)
        ]
        first, second = (call.result() for call in calls)
        assert first == second
        assert len(story.intents()) == 1
        assert len(story.customers()) == 1


def test_what_a_killed_replica_held_is_taken_up(replicas: Replicas) -> None:
    """What it had asked Stripe for, and a task whose worker went with it: by either replica.

    All wait for the same lease to run out, so they wait together.
    """
    killed, survivor = replicas
    with ExitStack() as opened:
        one = opened.enter_context(Client(killed))
        other = opened.enter_context(Client(survivor))

        def begin(kind: str, path: str, seen: Callable[[Story], object] | None) -> Story:
            """Ask for a payment that hangs at Stripe."""
            story = opened.enter_context(Story(one, watch_at=[other]))
            story.make_product()
            one.service.stripe.fault(kind, path, seconds=HANGS_SECONDS)
            opened.callback(pool.submit(story.ask_for_payment).result, PATIENCE_SECONDS)
            if seen is None:
                one.service.stripe.wait_struck()
            else:
                wait_until(lambda: bool(seen(story)), f"nothing was made after {kind} at {path}")
            return story

        offered = opened.enter_context(Story(one, function_name="start_consult", watch_at=[other]))
        offered.pay()
        offered.receive_task()
        pool = opened.enter_context(ThreadPoolExecutor(5))
        at_stripe = [
            begin("latency", "/v1/customers", None),
            begin("late", "/v1/customers", Story.customers),
            begin("latency", "/v1/payment_intents", None),
            begin("late", "/v1/payment_intents", Story.intents),
        ]
        lost = offered.lose_task()
        # Half of the callers wait for the one that was killed, the others turn to the other.
        for story in (*at_stripe[::2], offered):
            story.clients = (other,)
        killed.restart()
        killed.calm()
        stories = (*at_stripe, offered)
        for told in [pool.submit(each.tell) for each in stories]:
            told.result(2 * PATIENCE_SECONDS)
        for story in stories:
            story.check()
        assert offered.lose_task().task.attempts == lost.task.attempts + 1


def request_for(story: Story) -> payments_pb2.CreatePaymentIntentRequest:
    """Ask for a payment under a request id of its own."""
    return payments_pb2.CreatePaymentIntentRequest(
        request_id=str(uuid.uuid4()), user_id=story.user_id, product_id=story.make_product()
    )
