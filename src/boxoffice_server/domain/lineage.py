"""Lineages as they are kept: whose each is, and when it must be looked at again."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from boxoffice_server.domain.subscription import LineageKey


class Parked(StrEnum):
    """Why a lineage's facts make nothing yet."""

    NO_USER = "no_user"
    UNKNOWN_PRODUCT = "unknown_product"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """What is known of a lineage without looking at its facts.

    `user_id` is who holds it now; empty: nobody. At `next_time` the clock alone changes something,
    and at `poll_time` its vendor should have said something and is asked; None: never.
    """

    key: LineageKey
    user_id: str = ""
    next_time: datetime | None = None
    poll_time: datetime | None = None
    parked: Parked | None = None
