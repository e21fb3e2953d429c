"""Lives of App Store subscriptions, made at will, which know themselves what must come of them.

A life is what Apple would do and say: it keeps its own books of what happened and how each product
stood, by rules of its own, and never asks the code that it tests.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tests.support.apple import Bought, Told
from tests.support.trace import Happened, written
from tests.vendors.app_store.payloads import ms

BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
EARLY, LATE = 8 * HOUR, timedelta(minutes=20)
LEEWAY, RETRIES = HOUR, 60 * DAY
LENGTHS = {"A": 30 * DAY, "B": 30 * DAY, "C": 7 * DAY}
# Apple's offer, our word for it, and the status it puts a subscription in.
OFFERS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    ((), "", "active_with_renewal"),
    (("1", "FREE_TRIAL"), "_with_free_trial", "using_free_trial"),
    (("1", "PAY_UP_FRONT"), "_with_introductory_pricing", "using_introductory_pricing"),
    (("3", "FREE_TRIAL", "SUMMER"), "_with_promotion", "using_promotion"),
)

Choose = Callable[[int], int]
"""Draws a number from 0 to below this one."""


@dataclass
class Product:
    """How one product stands, in the life's own books."""

    name: str
    key: str
    start: datetime
    paid_until: datetime
    expires: datetime
    offer: int
    renews: bool = True
    price_asked: bool = False
    follower: str = ""
    grace: bool = False
    retry: bool = False
    over: str = ""
    refunded: str = ""

    @property
    def status(self) -> str:
        """The status that it must have."""
        if self.refunded or self.over:
            return self.refunded or self.over
        if self.retry:
            return "in_billing_retry"
        if not self.renews:
            return "active_without_renewal"
        if self.grace:
            return "in_grace_period"
        if self.price_asked:
            return "awaiting_price_change_confirmation"
        return "switching_product" if self.follower else OFFERS[self.offer][2]


@dataclass(frozen=True)
class Standing:
    """From a time on a product stood so, as was known from another time on."""

    time: datetime
    product: str
    status: str
    expires: datetime
    known: datetime


class Life:
    """One subscription's life so far: what was told, and what must come of it."""

    it: Product

    def __init__(self, choose: Choose) -> None:
        self.choose = choose
        self.told: list[Told] = []
        self.events: list[Happened] = []
        self.standings: list[Standing] = []
        # What may be lost, for the clock knows it as well.
        self.clockwork: list[Told] = []
        # A refund was reversed after the end: no snapshot before that can tell of a lost toggle.
        self.is_reversed_late = False
        self.now = BEGIN
        self.count = 0
        self.older: dict[str, list[str]] = {}

    def __repr__(self) -> str:
        return f"<a life, {self.count} periods>"

    def __str__(self) -> str:
        """Write it as a trace."""
        lines = ["told:", *(f"  {each}" for each in self.told)]
        lines += ["events:", *(f"  {each}" for each in self.events), "at:"]
        lines += [
            f"  {written(each.time)} {each.product}={each.status}/{written(each.expires)}"
            for each in self.standings
        ]
        return "\n".join(lines)

    # What Apple says, and what our books then hold

    def say(
        self, type_: str, *, of: str = "", bought: Bought | None = None, **sets: object
    ) -> None:
        """Let Apple sign a notification now. Fields of the transaction begin with `tx_`."""
        self.told.append(
            Told(
                type=type_,
                signed=self.now,
                arrived=self.now,
                of=of,
                bought=bought,
                sets={name: each for name, each in sets.items() if not name.startswith("tx_")},
                tx={name[3:]: each for name, each in sets.items() if name.startswith("tx_")},
            )
        )

    def happens(self, type_: str, *, time: datetime | None = None, **fields: object) -> None:
        """Write down that something happened."""
        self.events.append(
            Happened(
                lineage="o1",
                product=self.it.name,
                type=type_,
                time=time or self.now,
                known=time or self.now,
                **fields,  # type: ignore[arg-type]
            )
        )

    def stands(self, time: datetime | None = None) -> None:
        """Write down how the product stands from now on, or from a time after what was before."""
        it = self.it
        time = time or self.now
        before = [each.time for each in self.standings if each.product == it.name]
        time = max(time, *before[-1:], time)
        self.standings.append(Standing(time, it.name, it.status, it.expires, self.now))

    def pass_time(self, until: datetime) -> None:
        """Let some of the time pass that is left until then; never none, never all."""
        steps = int((until - self.now) / timedelta(minutes=5))
        self.now += timedelta(minutes=5) * (1 + self.choose(max(steps - 2, 1)))

    # Periods

    def begin(self, name: str, type_: str, *, start: datetime, offer: int, first: bool) -> None:
        """Begin a period: `now` is when Apple says so, `start` when it begins."""
        self.count += 1
        end = start + LENGTHS[name]
        apple, suffix, _ = OFFERS[offer]
        bought = Bought(key=f"w{self.count}", product=name, start=start, end=end, offer=apple)
        before = None if first else self.it
        if before is not None:
            self.older.setdefault(before.name, []).append(before.key)
        changes = before is not None and before.name != name
        if before is not None and changes and not before.over and not before.refunded:
            self.happens("switched_product", time=start, new_product=name)
            before.over, before.expires = "switched_product", min(before.expires, start)
            self.stands(start)
        self.it = Product(name, bought.key, start, end, end, offer)
        kind = "started" if first else "renewed"
        promotion = apple[2] if len(apple) > 2 else ""
        self.happens(f"{kind}{suffix}", time=start, expire_time=end, promotion=promotion)
        runs_on = before is not None and not changes and not (before.over or before.retry)
        self.stands(min(self.now, start) if runs_on and before and not before.refunded else start)
        self.say(type_, bought=bought)
        self.now = max(self.now, start)

    # Toggles

    def switch_off(self) -> None:
        """Renewal is switched off."""
        self.it.renews = False
        self.happens("renewal_disabled")
        self.stands()
        self.say("DID_CHANGE_RENEWAL_STATUS/AUTO_RENEW_DISABLED")

    def switch_on(self) -> None:
        """Renewal is switched on."""
        self.it.renews = True
        self.happens("renewal_enabled")
        self.stands()
        self.say("DID_CHANGE_RENEWAL_STATUS/AUTO_RENEW_ENABLED")

    def ask_other(self, name: str) -> None:
        """Another product is to follow."""
        self.it.renews, self.it.follower = True, name
        self.happens("switching_product", new_product=name)
        self.stands()
        self.say("DID_CHANGE_RENEWAL_PREF/DOWNGRADE", autoRenewProductId=name)

    def ask_same(self) -> None:
        """The same product is to follow after all."""
        self.it.follower = ""
        self.happens("renewal_enabled")
        self.stands()
        self.say("DID_CHANGE_RENEWAL_PREF", autoRenewProductId=self.it.name)

    def ask_price(self) -> None:
        """The price is to change."""
        self.it.price_asked = True
        self.happens("price_change_confirmation_requested")
        self.stands()
        self.say("PRICE_INCREASE/PENDING")

    def agree_price(self) -> None:
        """The user agrees to it."""
        self.it.price_asked = False
        self.happens("renewal_enabled")
        self.stands()
        self.say("PRICE_INCREASE/ACCEPTED")

    # Money back, and time given

    def refund(self, reason: int) -> None:
        """The period is paid back."""
        self.it.refunded = "refunded_for_issue" if reason else "refunded"
        self.it.expires = self.now
        self.happens(self.it.refunded, expire_time=self.now)
        self.stands()
        self.say(
            "REFUND", of=self.it.key, tx_revocationDate=ms(self.now), tx_revocationReason=reason
        )

    def refund_older(self) -> None:
        """A period of the same product from before is paid back, which is of no account any more.

        Where there is none, the user asks for it and is refused.
        """
        older = self.older.get(self.it.name)
        if older:
            self.say("REFUND", of=older.pop(), tx_revocationDate=ms(self.now))
        else:
            self.say("REFUND_DECLINED", of=self.it.key)

    def reverse(self) -> None:
        """The refund is taken back while the period still runs."""
        it = self.it
        renews = it.renews
        it.refunded, it.expires, it.renews = "", it.paid_until, True
        it.price_asked, it.follower = False, ""
        _, suffix, _ = OFFERS[it.offer]
        promotion = OFFERS[it.offer][0][2] if suffix == "_with_promotion" else ""
        self.happens(f"renewed{suffix}", expire_time=it.expires, promotion=promotion)
        if not renews:
            it.renews = False
            self.happens("renewal_disabled")
        self.stands()
        self.say(
            "REFUND_REVERSED",
            of=it.key,
            autoRenewProductId=it.name,
            priceIncreaseStatus=None,
        )

    def extend(self, days: int) -> None:
        """The period is made longer; its transaction keeps its old end."""
        it = self.it
        renews = it.renews
        it.paid_until = it.expires = it.paid_until + days * DAY
        it.price_asked, it.follower = False, ""
        it.renews = True
        _, suffix, _ = OFFERS[it.offer]
        promotion = OFFERS[it.offer][0][2] if suffix == "_with_promotion" else ""
        self.happens(f"renewed{suffix}", expire_time=it.expires, promotion=promotion)
        if not renews:
            it.renews = False
            self.happens("renewal_disabled")
        self.stands()
        self.say(
            "RENEWAL_EXTENDED",
            renewalDate=ms(it.expires),
            autoRenewProductId=it.name,
            priceIncreaseStatus=None,
        )

    # Ends

    def end(self, status: str, type_: str, *, time: datetime) -> None:
        """It is over, from this time on; Apple says so now."""
        self.it.over = status
        self.happens(status, time=time)
        if not self.it.refunded:
            self.stands(time)
        self.say(type_)
        if not self.it.refunded and type_ != "EXPIRED/BILLING_RETRY":
            self.clockwork.append(self.told[-1])

    def fail(self, grace_days: int) -> None:
        """Renewal fails; access goes on for some days, or ends."""
        it = self.it
        if grace_days:
            it.grace, it.expires = True, it.paid_until + grace_days * DAY
            self.happens("grace_period_started", expire_time=it.expires)
            self.stands()
            self.say("DID_FAIL_TO_RENEW/GRACE_PERIOD", gracePeriodExpiresDate=ms(it.expires))
        else:
            self.start_retry(self.now)
            self.say("DID_FAIL_TO_RENEW")

    def start_retry(self, time: datetime) -> None:
        """Apple goes on trying, without access."""
        self.it.retry, self.it.grace = True, False
        self.happens("billing_retry_started", time=time)
        self.stands(time)

    def run_out(self) -> None:
        """Nothing more is ever heard: what the passing of time alone does."""
        it = self.it
        if it.over or it.refunded:
            return
        if not it.retry and not it.renews:
            self._expires("expired_voluntarily", it.expires)
        elif it.grace:
            self.start_retry(it.expires)
            self._expires("expired_from_billing", it.paid_until + RETRIES)
        elif it.retry:
            self._expires("expired_from_billing", it.paid_until + RETRIES)
        elif it.price_asked:
            self._expires("failed_to_confirm_price_change", it.expires)
        else:
            time = it.expires + LEEWAY
            self.standings.append(Standing(time, it.name, "in_billing_retry", it.expires, time))

    def _expires(self, status: str, time: datetime) -> None:
        self.it.over = status
        self.happens(status, time=time, by_clock=True)
        self.stands(time)

    def at(self, product: str, time: datetime, *, known: datetime | None = None) -> Standing | None:
        """How a product stood at a time, from what was known by another; None: there was none."""
        found = None
        for each in self.standings:
            if known is not None and each.known > known:
                continue
            if each.product == product and each.time <= time:
                found = each
        return found
