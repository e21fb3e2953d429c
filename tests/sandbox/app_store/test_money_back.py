"""Refunds and their reversal."""

from boxoffice_sandbox.app_store import money_back, renewals
from tests.sandbox.app_store.stories import Story, at


def test_refund_is_reversed_and_renewal_stays_off() -> None:
    """The date of renewal is unchanged, and the revocation fields are gone."""
    story = Story()
    found = story.buy("0101", "premium_monthly")
    story.do("0110", renewals.cancel, found)
    story.do("0112", money_back.refund, found, reason=1)
    refunded = story.last
    assert refunded.status == 5
    assert refunded.transaction is not None
    assert refunded.transaction["revocationDate"] == at("0112")
    assert refunded.transaction["revocationReason"] == 1
    assert refunded.transaction["revocationType"] == "REFUND_FULL"
    assert refunded.transaction["revocationPercentage"] == 100_000
    story.do("0120", money_back.reverse, found)
    assert story.last.transaction is not None
    assert not [name for name in story.last.transaction if name.startswith("revocation")]
    assert story.last.renewal is not None
    assert story.last.renewal["autoRenewStatus"] == 0
    story.until("0301", found)
    assert story.told[2:] == ["0112 REFUND", "0120 REFUND_REVERSED", "0201 EXPIRED/VOLUNTARY"]


def test_refund_of_an_older_period_takes_nothing_away() -> None:
    """It is told with that period, in part or whole, and the subscription goes on."""
    story = Story()
    found = story.buy("0101", "premium_monthly")
    story.until("0205", found)
    story.do("0205", money_back.refund, found, transaction=found.id, percentage=40)
    assert story.periods[-1] == "premium_monthly:0101-0201"
    assert story.last.status == 1
    assert story.last.transaction is not None
    assert story.last.transaction["revocationType"] == "REFUND_PRORATED"
    assert story.last.transaction["revocationPercentage"] == 40_000
    story.until("0302", found)
    assert story.told[-1] == "0301 DID_RENEW"


def test_refund_after_the_end_can_be_reversed_without_giving_access() -> None:
    """Nothing is left of the period."""
    story = Story()
    found = story.buy("0101", "premium_monthly")
    story.do("0112", money_back.refund, found)
    story.until("0301", found)
    story.do("0301", money_back.reverse, found)
    assert story.told[1:] == ["0112 REFUND", "0301 REFUND_REVERSED"]
    assert story.last.status == 2
