"""Traces: stories of subscriptions as short lines, with what must come of them.

All times are of 2025, `MMDD[Thh[:mm[:ss]]]`, or of a later year, `YYYY-MMDD…`. What is told, in the
order of arrival: `arrival TYPE[/SUBTYPE] [s=signed] [key:product:from-to] [name=value …]`. What
happened: `time product type [exp=] [new=] [ref=] [arr=known from] [clk]`. How it stood, from what
had arrived by then: `time product=status/expiry`, or `time product=none`. A product may be preceded
by its lineage: `o2/B`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.support.apple import Bought, Told
from tests.vendors.app_store.payloads import ms


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One story and what must come of it. `superseded`: told, but not canonical in the end."""

    id: str
    told: tuple[str, ...]
    events: tuple[str, ...]
    at: tuple[str, ...]
    superseded: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Name it, as tests are named."""
        return self.id


@dataclass(frozen=True, kw_only=True)
class Happened:
    """An event as a trace writes it."""

    lineage: str
    product: str
    type: str
    time: datetime
    known: datetime
    expire_time: datetime | None = None
    new_product: str = ""
    promotion: str = ""
    by_clock: bool = False

    def __str__(self) -> str:
        """Write it as a trace does."""
        parts = [written(self.time), f"{self.lineage}/{self.product}", self.type]
        if self.expire_time is not None:
            parts.append(f"exp={written(self.expire_time)}")
        if self.new_product:
            parts.append(f"new={self.new_product}")
        if self.promotion:
            parts.append(f"ref={self.promotion}")
        if self.by_clock:
            parts.append("clk")
        return " ".join(parts)


@dataclass(frozen=True, kw_only=True)
class Stands:
    """How a product stands, as a trace writes it; no status: there is none."""

    time: datetime
    lineage: str
    product: str
    status: str
    expire_time: datetime | None = None

    def __str__(self) -> str:
        """Write it as a trace does."""
        name = f"{written(self.time)} {self.lineage}/{self.product}"
        if self.expire_time is None:
            return f"{name}={self.status or 'none'}"
        return f"{name}={self.status}/{written(self.expire_time)}"


def when(text: str) -> datetime:
    """Read a time."""
    day, _, clock = text.partition("T")
    year, day = (2025, day) if len(day) == 4 else (int(day[:4]), day[4:])
    hours, minutes, seconds = (int(each) for each in f"{clock or 0}:0:0".split(":")[:3])
    return datetime(year, int(day[:2]), int(day[2:]), hours, minutes, seconds, tzinfo=UTC)


def written(time: datetime) -> str:
    """Write a time."""
    day = f"{time:%m%d}" if time.year == 2025 else f"{time:%Y%m%d}"
    clock = f"{time:%H:%M:%S}".removesuffix(":00").removesuffix(":00")
    return day if clock == "00" else f"{day}T{clock}"


class _Line:
    """The words of a line: those with a name, and the others."""

    def __init__(self, text: str) -> None:
        self.words = [each for each in text.split() if "=" not in each]
        self.named = dict(each.split("=", 1) for each in text.split() if "=" in each)


def _milliseconds(text: str) -> int:
    return ms(when(text))


def _flag(text: str) -> bool:
    return text == "1"


# What may be said with a name: Apple's field, and how it is read.
_SETS: Mapping[str, tuple[str, Callable[[str], object]]] = {
    "next": ("autoRenewProductId", str),
    "auto": ("autoRenewStatus", int),
    "grace": ("gracePeriodExpiresDate", _milliseconds),
    "renewal": ("renewalDate", _milliseconds),
    "price": ("priceIncreaseStatus", int),
    "intent": ("expirationIntent", int),
    "retry": ("isInBillingRetryPeriod", _flag),
}
_TX: Mapping[str, tuple[str, Callable[[str], object]]] = {
    "revoked": ("revocationDate", _milliseconds),
    "reason": ("revocationReason", int),
    "kind": ("revocationType", str),
    "expires": ("expiresDate", _milliseconds),
    "upgraded": ("isUpgraded", _flag),
    "restored": ("transactionId", str),
}
_OTHERS = {"s", "offer", "L", "of", "token", "n", "reversed"}


def told(trace: Trace) -> list[Told]:
    """Read what is told."""
    return [_told(_Line(text)) for text in trace.told]


def _told(line: _Line) -> Told:
    named = line.named
    arrived = when(line.words[0])
    unknown = named.keys() - _SETS.keys() - _TX.keys() - _OTHERS
    assert not unknown, f"{unknown} are no words of a trace"
    return Told(
        type=line.words[1],
        signed=when(named.get("s", line.words[0])),
        arrived=arrived,
        lineage=named.get("L", "o1"),
        bought=_bought(line),
        of=named.get("of", ""),
        sets=_fields(named, _SETS),
        tx=_fields(named, _TX),
        is_reversed="reversed" in named,
        number=int(named.get("n", 0)),
    )


def _fields(
    named: Mapping[str, str], table: Mapping[str, tuple[str, Callable[[str], object]]]
) -> dict[str, object]:
    return {table[name][0]: table[name][1](text) for name, text in named.items() if name in table}


def _bought(line: _Line) -> Bought | None:
    bought = [each for each in line.words[2:] if each.count(":") >= 2]
    if not bought:
        return None
    key, product, interval = bought[0].split(":", 2)
    start, _, end = interval.partition("-")
    return Bought(
        key=key,
        product=product,
        start=when(start),
        end=when(end),
        offer=tuple(line.named["offer"].split("/")) if "offer" in line.named else (),
        token=line.named.get("token", ""),
        is_family="family" in line.words,
    )


def happened(text: str) -> Happened:
    """Read what must have happened."""
    line = _Line(text)
    named = line.named
    lineage, _, product = line.words[1].rpartition("/")
    return Happened(
        lineage=lineage or "o1",
        product=product,
        type=line.words[2],
        time=when(line.words[0]),
        known=when(named.get("arr", line.words[0])),
        expire_time=when(named["exp"]) if "exp" in named else None,
        new_product=named.get("new", ""),
        promotion=named.get("ref", ""),
        by_clock="clk" in line.words,
    )


def stands(trace: Trace) -> list[Stands]:
    """Read how it must stand."""
    return [_stands(text) for text in trace.at]


def _stands(text: str) -> Stands:
    time, rest = text.split()
    name, _, how = rest.partition("=")
    lineage, _, product = name.rpartition("/")
    status, _, expire = how.partition("/")
    return Stands(
        time=when(time),
        lineage=lineage or "o1",
        product=product,
        status="" if status == "none" else status,
        expire_time=when(expire) if expire else None,
    )
