"""Named moments at which tests make the service fail: placeholder until the harness is merged."""

from enum import StrEnum


class FailPoint(StrEnum):
    """A moment in the life of a write."""

    RECORDING = "recording"
    RECORDED = "recorded"
    ASKED = "asked"
    SETTLING = "settling"
    SETTLED = "settled"
    KEEPING = "keeping"
    KEPT = "kept"


def reach(point: FailPoint, name: str) -> None:
    """Reach a moment inside a transaction."""


async def reach_async(point: FailPoint, name: str) -> None:
    """Reach a moment between transactions."""
