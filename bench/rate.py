"""Payments at a rate, as customers come: what of each is ours, against its rows alone.

The rate does not wait for the service, so a delay holds all the queueing that a slow one brings
about. The baseline writes the same rows in the same two transactions, at the same rate. At the
highest rate a slow machine shows most, so there it is told how fast this one was.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import mean

from bench.caller import USERS, charge_request
from bench.child import Answer, Child
from bench.lab import STORES, Lab
from bench.pace import Pace
from bench.report import Row, in_turns, quantile
from bench.shop import SAMPLE_REQUEST, charge, open_shop

PAYMENT = "CreatePaymentIntent"
CHARGE = "ChargeUser"
FOLLOWED = "CreatePaymentIntent while a stream tells of it"
# What is asked for, and how often a second. The last rate is the one that the service is held to.
LOADS = ((PAYMENT, 100), (PAYMENT, 200), (PAYMENT, 300), (CHARGE, 300))
HIGHEST = 300
WARM_CALLS = 50
BARE = "bare"
AGAINST = "the same rows in two bare transactions at this rate"
UNFOLLOWED = "the same at this rate while no stream is open"
# Which part of all calculations of a run is taken to be undisturbed.
FASTEST = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One round: what of each call was not Stripe's in ms, those refused, and CPU ms per call.

    `paces` are what a fixed calculation took meanwhile, in ms.
    """

    calls: int
    shares: list[float]
    errors: int
    used: float
    paces: list[float]

    def at(self, part: float) -> float:
        """Answer a quantile of the shares."""
        return quantile(self.shares, part)


class Setting:
    """A service and its caller, and a program that writes the same rows."""

    def __init__(self, lab: Lab, store: str, stripe: str) -> None:
        self._seconds = lab.scale.open_seconds
        self._caller = lab.child("bench.caller")
        self._service = lab.child("bench.service")
        database = lab.database(store)
        shop = open_shop(self._service, database, stripe)
        self._address, self._product_id = shop.address, shop.product_id
        self._caller.ask("save_methods", address=self._address)
        self._pay(rate=HIGHEST, calls=WARM_CALLS)
        self._charge(rate=HIGHEST, calls=WARM_CALLS)
        self._bare = _learned_writer(lab, store, self._address, database)

    def ours(self, name: str, rate: int) -> Load:
        """Ask the service."""
        calls = round(rate * self._seconds)
        before = self._service.ask("used")["seconds"]
        with Pace() as pace:
            if name == CHARGE:
                told = self._charge(rate=rate, calls=calls)
            else:
                told = self._pay(rate=rate, calls=calls, followed=name == FOLLOWED)
        return _load(told, calls, self._service.ask("used")["seconds"] - before, pace)

    def bare(self, name: str, rate: int) -> Load:
        """Write the rows alone."""
        calls = round(rate * self._seconds)
        with Pace() as pace:
            told = self._bare.ask("write_at_rate", name=name, rate=rate, calls=calls)
        return _load(told, calls, told["used"], pace)

    def _pay(self, *, rate: int, calls: int, followed: bool = False) -> Answer:
        return self._caller.ask(
            "pay_at_rate",
            address=self._address,
            rate=rate,
            calls=calls,
            product_id=self._product_id,
            followed=followed,
        )

    def _charge(self, *, rate: int, calls: int) -> Answer:
        return self._caller.ask("charge_at_rate", address=self._address, rate=rate, calls=calls)


def bench_rate(lab: Lab) -> list[Row]:
    """Measure payments and charges at fixed rates on both stores."""
    stripe = lab.child("bench.canned_stripe").ask("address")["address"]
    measures: dict[str, Callable[[], Load]] = {}
    for store in STORES:
        setting = Setting(lab, store, stripe)
        for name, rate in LOADS:
            measures[f"{name} {rate} {store} {BARE}"] = partial(setting.bare, name, rate)
            measures[f"{name} {rate} {store}"] = partial(setting.ours, name, rate)
        measures[f"{FOLLOWED} {store}"] = partial(setting.ours, FOLLOWED, HIGHEST)
    taken = in_turns(lab.scale.rounds, measures)
    paces = [pace for loads in taken.values() for load in loads for pace in load.paces]
    # Its very fastest may be a fault of the machine's clock.
    fastest = quantile(paces, FASTEST)
    rows: list[Row] = []
    for store in STORES:
        for name, rate in LOADS:
            ours = taken[f"{name} {rate} {store}"]
            bare = taken[f"{name} {rate} {store} {BARE}"]
            rows += _rows(f"{name} at {rate}/s, {store}", ours, bare)
            if rate == HIGHEST:
                rows.append(_used_row(f"{name} at {rate}/s, {store}", ours, bare))
                rows += _machine_rows(f"{name} at {rate}/s, {store}", ours, bare, fastest)
        ours, alone = taken[f"{FOLLOWED} {store}"], taken[f"{PAYMENT} {HIGHEST} {store}"]
        rows += _rows(f"{FOLLOWED}, {store}", ours, alone, UNFOLLOWED)
        rows.append(_used_row(f"{FOLLOWED}, {store}", ours, alone, UNFOLLOWED))
    return rows


def _rows(name: str, ours: list[Load], baseline: list[Load], against: str = AGAINST) -> list[Row]:
    rows = [
        Row(
            measure=f"{name}: our share, {title}",
            unit="ms",
            baseline=[load.at(part) for load in baseline],
            ours=[load.at(part) for load in ours],
            against=against,
        )
        for title, part in (("p50", 0.5), ("p99", 0.99))
    ]
    rows.append(
        Row(
            measure=f"{name}: answered without an error",
            unit="calls",
            baseline=[float(load.calls) for load in ours],
            ours=[float(load.calls - load.errors) for load in ours],
            against="the calls that were made",
        )
    )
    return rows


def _used_row(name: str, ours: list[Load], baseline: list[Load], against: str = AGAINST) -> Row:
    """Tell what a call takes of the service's core."""
    return Row(
        measure=f"{name}: CPU of the service",
        unit="ms/call",
        baseline=[load.used for load in baseline],
        ours=[load.used for load in ours],
        against=against,
    )


def _machine_rows(name: str, ours: list[Load], bare: list[Load], fastest: float) -> list[Row]:
    """Tell what the machine has to do with it."""
    return [
        Row(
            measure=f"{name}: a fixed calculation meanwhile",
            unit="ms",
            baseline=[fastest for _ in ours],
            ours=[mean(load.paces) for load in ours],
            against="its fastest in this run: 1.00 is a machine that nobody else slows",
        ),
        Row(
            measure=f"{name}: our share, p99, where that was fastest",
            unit="ms",
            baseline=[_least_disturbed(bare).at(0.99)],
            ours=[_least_disturbed(ours).at(0.99)],
            against="the one round of each that the machine disturbed least",
        ),
    ]


def _least_disturbed(loads: list[Load]) -> Load:
    return min(loads, key=lambda load: mean(load.paces))


def _learned_writer(lab: Lab, store: str, address: str, database: str) -> Child:
    """Start a program that has seen what one payment and one charge write."""
    charged = charge_request(USERS)
    charge(address, charged)
    bare = lab.child("bench.bare_writer")
    bare.ask("open", database=lab.database(store))
    for name, request_id in ((PAYMENT, SAMPLE_REQUEST), (CHARGE, charged.request_id)):
        bare.ask("learn", name=name, database=database, request_id=request_id)
        bare.ask("write_at_rate", name=name, rate=HIGHEST, calls=WARM_CALLS)
    return bare


def _load(told: Answer, calls: int, used_seconds: float, pace: Pace) -> Load:
    return Load(
        calls=calls,
        shares=[share * 1000 for share in told["shares"]],
        errors=told["errors"],
        used=used_seconds * 1000 / calls,
        paces=pace.taken,
    )
