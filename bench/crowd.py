"""Payments by more callers than can be answered in time, against as many as can be.

Each caller waits a while, and sends the same again where no answer came. What counts is how many
get one: a service that works for those who have left, or begins more than it can end, answers
hardly any.
"""

from collections.abc import Callable
from functools import partial

from bench.caller import USERS
from bench.child import Child
from bench.lab import STORES, Lab
from bench.report import Row, in_turns
from bench.shop import open_shop

CONNECTIONS = 8
FEW = 64
WAIT_SECONDS = 2.0


def bench_crowd(lab: Lab) -> list[Row]:
    """Measure on both stores how many payments a crowd gets through."""
    stripe = lab.child("bench.canned_stripe").ask("address")["address"]
    caller = lab.child("bench.caller")
    measures: dict[str, Callable[[], float]] = {}
    for store in STORES:
        shop = open_shop(lab.child("bench.service"), lab.database(store), stripe)
        at = {"address": shop.address, "product_id": shop.product_id}
        # Every user gets a customer at Stripe before the clock starts.
        caller.ask("pay", callers=CONNECTIONS, calls=USERS, **at)
        answers = partial(_answers, caller, at, lab.scale.crowd_seconds)
        measures[f"{store} few"] = partial(answers, FEW)
        measures[store] = partial(answers, lab.scale.crowd)
    taken = in_turns(lab.scale.rounds, measures)
    return [
        Row(
            measure=f"CreatePaymentIntent by {lab.scale.crowd:,} at once, {store}",
            unit="answers/s",
            baseline=taken[f"{store} few"],
            ours=taken[store],
            against=f"{FEW} callers, who are all answered",
        )
        for store in STORES
    ]


def _answers(caller: Child, at: dict[str, str], seconds: float, callers: int) -> float:
    """Let so many callers pay, and tell how many answers a second they get."""
    told = caller.ask(
        "pay_in_a_crowd",
        connections=CONNECTIONS,
        callers=callers,
        seconds=seconds,
        wait_seconds=WAIT_SECONDS,
        **at,
    )
    return float(told["answered"] / seconds)
