"""What a comparison of our books of payments with the vendor's finds."""

from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum


class DifferenceKind(StrEnum):
    """What differs."""

    MISSING_HERE = "missing_here"
    MISSING_AT_STRIPE = "missing_at_stripe"
    STATUS = "status"
    AMOUNT = "amount"
    UNKNOWN_HERE = "unknown_here"


class DifferenceCause(StrEnum):
    """Where a difference comes from."""

    NOTIFICATION_MISSED = "notification_missed"
    NOTIFICATION_NOT_APPLIED = "notification_not_applied"
    OUTCOME_UNKNOWN = "outcome_unknown"
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing about which the two books say different things."""

    kind: DifferenceKind
    cause: DifferenceCause
    payment_id: str
    stripe_id: str
    ours: str
    theirs: str
    repaired: bool = False


@dataclass(slots=True)
class Sums:
    """What both books have in one currency, in its minor unit."""

    our_captured: int = 0
    stripe_captured: int = 0
    our_refunded: int = 0
    stripe_refunded: int = 0


@dataclass(slots=True)
class Comparison:
    """How far a comparison is, and what it has found. `differences` are those since last told."""

    differences: list[Difference] = field(default_factory=list)
    compared: int = 0
    foreign: int = 0
    found: int = 0
    repaired: int = 0
    progress: float = 0.0
    sums: dict[str, Sums] = field(default_factory=lambda: defaultdict(Sums))
    done: bool = False

    def add(self, difference: Difference) -> None:
        """Note a difference."""
        self.differences.append(difference)
        self.found += 1
        self.repaired += difference.repaired
