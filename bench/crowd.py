"""Payments by more callers than can be answered in time, against as many as can be.

Each caller waits a while, and sends the same again where no answer came. What counts is how many
get one: a service that works for those who have left, or begins more than it can end, answers
hardly any.
"""

from collections.abc import Callable
from functools import partial

from bench.caller import USERS
from bench.lab import STORES, Lab
from bench.report import Row, in_turns
from bench.shop import open_shop

CONNECTIONS = 8
FEW = 8
WAIT_SECONDS = 2.0


def bench_crowd(lab: Lab) -> list[Row]:
    """Measure on both stores how many payments a crowd gets through."""
    stripe = lab.child("bench.canned_stripe").ask("address")["address"]
    caller = lab.child("bench.caller")
    callers = lab.scale.crowd
    measures: dict[str, Callable[[], float]] = {}
    for store in STORES:
        shop = open_shop(lab.child("bench.service"), lab.database(store), stripe)
        at = {"address": shop.address, "product_id": shop.product_id}
        # Every user gets a customer at Stripe before the clock starts.
        caller.ask("pay", callers=FEW, calls=USERS, **at)

        def measure(count: int, at: dict[str, str]) -> float:
            told = caller.ask(
                "pay_in_a_crowd",
                connections=CONNECTIONS,
                callers=count,
                seconds=lab.scale.crowd_seconds,
                wait_seconds=WAIT_SECONDS,
                **at,
            )
            return float(told["answered"] / lab.scale.crowd_seconds)

        measures[f"{store} few"] = partial(measure, FEW * CONNECTIONS, at)
        measures[store] = partial(measure, callers, at)
    taken = in_turns(lab.scale.rounds, measures)
    return [
        Row(
            measure=f"CreatePaymentIntent by {callers:,} at once, {store}",
            unit="answers/s",
            baseline=taken[f"{store} few"],
            ours=taken[store],
            against=f"{FEW * CONNECTIONS} callers, who are all answered",
        )
        for store in STORES
    ]
