"""What the sandbox's apps sell: subscription products with their offers, and period lengths."""

import calendar
import datetime as dt
import re
import zlib
from dataclasses import asdict, dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

from boxoffice_sandbox.errors import invalid_request

Json = dict[str, Any]

BUNDLE_ID = "com.example.boxoffice"

_PERIOD = re.compile(r"P(?:(\d{1,4})([DWMY])|T(\d{1,4})([HM]))")
_FIXED_SECONDS = {"D": 86_400, "W": 7 * 86_400, "TH": 3600, "TM": 60}


class OfferKind(IntEnum):
    """Apple's `offerType`."""

    INTRODUCTORY = 1
    PROMOTIONAL = 2
    CODE = 3
    WIN_BACK = 4


class OfferMode(StrEnum):
    """Apple's `offerDiscountType`."""

    FREE_TRIAL = "FREE_TRIAL"
    PAY_AS_YOU_GO = "PAY_AS_YOU_GO"
    PAY_UP_FRONT = "PAY_UP_FRONT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One offer of a product; `price` is for one period of it, in thousandths."""

    id: str
    kind: OfferKind
    mode: OfferMode
    period: str
    price: int = 0
    periods: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One subscription; in a group, the level 1 is the highest. `price` is in thousandths."""

    id: str
    group: str
    tier: str
    level: int
    period: str
    price: int
    bundle_id: str = BUNDLE_ID
    currency: str = "EUR"
    for_sale: bool = True
    offers: tuple[Offer, ...] = field(default=())

    @property
    def group_identifier(self) -> str:
        """Apple's number of the group, made from its name."""
        return str(20_000_000 + zlib.crc32(self.group.encode()) % 80_000_000)

    def offer(self, name: str) -> Offer:
        """Return an offer by its name."""
        for offer in self.offers:
            if offer.id == name:
                return offer
        known = ", ".join(offer.id for offer in self.offers) or "none"
        raise invalid_request(f"{self.id} has no offer {name}: there are {known}.")


def default_products() -> list[Product]:
    """Return what every sandbox sells from the start."""
    return [
        Product(
            id="premium_monthly",
            group="premium",
            tier="premium",
            level=1,
            period="P1M",
            price=9_990,
            offers=_offers(4_990),
        ),
        Product(
            id="premium_yearly",
            group="premium",
            tier="premium",
            level=1,
            period="P1Y",
            price=99_990,
            offers=(
                Offer(
                    id="intro",
                    kind=OfferKind.INTRODUCTORY,
                    mode=OfferMode.PAY_UP_FRONT,
                    period="P3M",
                    price=9_990,
                ),
                *_offers(49_990, period="P1Y"),
            ),
        ),
        Product(
            id="essential_monthly",
            group="premium",
            tier="essential",
            level=2,
            period="P1M",
            price=4_990,
            offers=(
                Offer(
                    id="trial",
                    kind=OfferKind.INTRODUCTORY,
                    mode=OfferMode.FREE_TRIAL,
                    period="P7D",
                ),
                *_offers(2_990),
            ),
        ),
    ]


def _offers(price: int, *, period: str = "P1M") -> tuple[Offer, ...]:
    return (
        Offer(
            id="spring",
            kind=OfferKind.PROMOTIONAL,
            mode=OfferMode.PAY_AS_YOU_GO,
            period=period,
            price=price,
            periods=3,
        ),
        Offer(id="code", kind=OfferKind.CODE, mode=OfferMode.FREE_TRIAL, period="P1M"),
        Offer(
            id="win_back",
            kind=OfferKind.WIN_BACK,
            mode=OfferMode.PAY_UP_FRONT,
            period="P3M",
            price=price,
        ),
    )


def product_from(data: Json) -> Product:
    """Read a product; the sandbox says what is wrong with it."""
    try:
        given = dict(data)
        offers = tuple(_offer_from(offer) for offer in given.pop("offers", ()))
        product = Product(**given, offers=offers)
    except (TypeError, ValueError) as error:
        raise invalid_request(f"This is no product: {error}") from error
    for period in (product.period, *(offer.period for offer in product.offers)):
        check_period(period)
    return product


def product_data(product: Product) -> Json:
    """Return a product as `product_from` reads it."""
    return asdict(product)


def _offer_from(data: Json) -> Offer:
    kind = data.get("kind", 0)
    named = OfferKind[kind.upper()] if isinstance(kind, str) else OfferKind(kind)
    return Offer(**{**data, "kind": named, "mode": OfferMode(data.get("mode", ""))})


def check_period(period: str) -> None:
    """Refuse what isn't a length of time as Apple writes them (P1M), or a short one (PT5M)."""
    match = _PERIOD.fullmatch(period)
    if match is None or not int(match[1] or match[3]):
        raise invalid_request(f"{period} is no period such as P7D, P1W, P1M, P1Y or PT5M.")


def period_end(start: int, period: str, *, day: int) -> int:
    """Return when a period ends, in milliseconds; months end on `day`, or on their last."""
    match = _PERIOD.fullmatch(period)
    if match is None:
        raise ValueError(period)
    number = int(match[1] or match[3])
    unit = match[2] or f"T{match[4]}"
    if unit in _FIXED_SECONDS:
        return start + number * _FIXED_SECONDS[unit] * 1000
    at = dt.datetime.fromtimestamp(start // 1000, dt.UTC)
    months = at.year * 12 + at.month - 1 + number * (12 if unit == "Y" else 1)
    year, month = divmod(months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    end = at.replace(year=year, month=month + 1, day=min(day, last))
    return int(end.timestamp()) * 1000 + start % 1000


def day_of(moment: int) -> int:
    """Return the day of the month of a moment in milliseconds."""
    return dt.datetime.fromtimestamp(moment // 1000, dt.UTC).day


def billing_day(start: int, day: int) -> int:
    """Return the day on which months that begin at `start` end, where it was `day` before.

    It stays where `start` is that day, or stands for it in a month that is too short.
    """
    at = dt.datetime.fromtimestamp(start // 1000, dt.UTC)
    last = calendar.monthrange(at.year, at.month)[1]
    return day if at.day == min(day, last) else at.day
