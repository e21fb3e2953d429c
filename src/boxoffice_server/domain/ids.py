"""How ids are made: time-ordered where we make them up, a hash where facts make them."""

import hashlib
import os
from datetime import datetime
from enum import StrEnum
from functools import lru_cache


class Prefix(StrEnum):
    """The prefix that tells what an id names."""

    PRODUCT = "prd"
    ORDER = "ord"
    PAYMENT = "pay"
    TASK = "tsk"
    LEASE = "lse"
    NOTIFICATION = "ntf"
    CUSTOMER = "cst"
    EVENT = "evt"
    OPERATION = "opn"
    PAYMENT_METHOD = "pmt"
    REFUND = "rfd"
    DISPUTE = "dsp"
    SUBSCRIPTION_PRODUCT = "spr"
    LINEAGE = "lin"
    ENTITLEMENT = "ent"
    FACT = "fct"
    LINK = "lnk"
    GRANT = "grt"


def new_id(prefix: Prefix, now: datetime) -> str:
    """Make up an id: the prefix and a UUIDv7 (RFC 9562 §5.7) in hex, so that ids sort by time."""
    milliseconds = int(now.timestamp() * 1000) & (1 << 48) - 1
    random = int.from_bytes(os.urandom(10))
    high, low = random >> 62 & (1 << 12) - 1, random & (1 << 62) - 1
    value = milliseconds << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low
    return f"{prefix}_{value:032x}"


# An event's id is asked for by its record and by its message.
@lru_cache(maxsize=64)
def hashed_id(prefix: Prefix, *parts: str) -> str:
    """Make the id that these parts stand for: the same parts give the same id for ever."""
    digest = hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
    return f"{prefix}_{digest[:32]}"
