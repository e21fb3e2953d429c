"""Unary calls against a bare grpc.aio server that answers the same bytes.

CreatePaymentIntent works on a canned Stripe, and the bare server waits as long as that does; what
either waits is taken off its delays. GetOrder and GetProduct show what a call costs that reads one
row: interceptor, messages and store.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from bench.caller import USERS
from bench.canned_stripe import DELAY_SECONDS
from bench.child import Child
from bench.h2load import find_h2load, run_h2load
from bench.lab import STORES, Lab
from bench.report import Row, in_turns, quantile
from bench.shop import Call, Shop, open_bare_shop, open_shop

BARE = "bare"
PAYERS = 8
READERS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Payments:
    """One round of payments: how many per second, and what of each was not Stripe's, in ms."""

    rate: float
    shares: list[float]


def bench_calls(lab: Lab) -> list[Row]:
    """Measure CreatePaymentIntent, GetOrder and GetProduct on both stores."""
    stripe = lab.child("bench.canned_stripe").ask("address")["address"]
    shops = {
        store: open_shop(lab.child("bench.service"), lab.database(store), stripe)
        for store in STORES
    }
    shops[BARE] = open_bare_shop(lab, shops[STORES[0]])
    caller = lab.child("bench.caller")
    return _payment_rows(lab, caller, shops) + _read_rows(lab, caller, shops)


def _payment_rows(lab: Lab, caller: Child, shops: dict[str, Shop]) -> list[Row]:
    calls = lab.scale.payments
    measures: dict[str, Callable[[], Payments]] = {}
    for name, shop in shops.items():
        # Every user gets a customer at Stripe before the clock starts.
        _pay(caller, shop, calls=USERS, orders=1 if name == BARE else USERS)
        orders = 1 if name == BARE else calls
        measures[name] = partial(_pay, caller, shop, calls=calls, orders=orders)
    taken = in_turns(lab.scale.rounds, measures)
    rows = []
    for store in STORES:
        name = f"CreatePaymentIntent, {store}"
        rows.append(
            Row(
                measure=name,
                unit="calls/s",
                baseline=[payments.rate for payments in taken[BARE]],
                ours=[payments.rate for payments in taken[store]],
                against=f"bare echo that waits {DELAY_SECONDS * 1000:.0f} ms, {PAYERS} callers",
            )
        )
        rows += [
            Row(
                measure=f"{name}: our share, {title}",
                unit="ms",
                baseline=_quantiles(taken[BARE], part),
                ours=_quantiles(taken[store], part),
                against="the same, its wait taken off",
            )
            for title, part in (("p50", 0.5), ("p99", 0.99))
        ]
    return rows


def _pay(caller: Child, shop: Shop, *, calls: int, orders: int) -> Payments:
    """Make payments, of which so many orders must come."""
    told = caller.ask(
        "pay", address=shop.address, callers=PAYERS, calls=calls, product_id=shop.product_id
    )
    assert told["orders"] == orders, f"{told['orders']} orders came of {calls} calls"
    return Payments(rate=calls / told["seconds"], shares=[share * 1000 for share in told["shares"]])


def _quantiles(rounds: Sequence[Payments], part: float) -> list[float]:
    return [quantile(payments.shares, part) for payments in rounds]


def _read_rows(lab: Lab, caller: Child, shops: dict[str, Shop]) -> list[Row]:
    program = find_h2load()

    def load(address: str, call: Call) -> float:
        if program is None:
            return _ask_caller(caller, address, call, calls=lab.scale.reads)
        return run_h2load(
            program, address, call, callers=READERS, calls=lab.scale.reads, folder=lab.folder
        )

    taken = in_turns(
        lab.scale.rounds,
        {
            f"{call.name}, {name}": partial(load, shop.address, call)
            for name, shop in shops.items()
            for call in shop.reads
        },
    )
    return [
        Row(
            measure=f"{call.name}, {store}",
            unit="calls/s",
            baseline=taken[f"{call.name}, {BARE}"],
            ours=taken[f"{call.name}, {store}"],
            against=f"bare echo, {READERS} at once, by {'h2load' if program else 'grpc.aio'}",
        )
        for store in STORES
        for call in shops[store].reads
    ]


def _ask_caller(caller: Child, address: str, call: Call, *, calls: int) -> float:
    seconds: float = caller.ask(
        "read",
        address=address,
        method=call.method,
        request=call.request.hex(),
        expected=call.answer.hex(),
        callers=READERS,
        calls=calls,
    )["seconds"]
    return calls / seconds
