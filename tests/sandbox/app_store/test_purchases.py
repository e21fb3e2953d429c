"""What customers buy: first, again, another product, with an offer, for their family."""

import pytest

from boxoffice_sandbox.app_store import money_back, purchases, renewals
from boxoffice_sandbox.app_store.catalogue import Product
from tests.sandbox.app_store.stories import Story, at

HOUR = 3_600_000
TWIN = Product(id="twin", group="premium", tier="premium", level=1, period="P1M", price=9_990)


def test_upgrade_begins_at_once() -> None:
    """The new expiry may be earlier; the period that was left says so."""
    yearly = Product(
        id="basic_yearly", group="premium", tier="basic", level=3, period="P1Y", price=39_990
    )
    story = Story(yearly)
    found = story.buy("0101", "basic_yearly")
    story.do("0301", purchases.change, found, "premium_monthly")
    assert story.told[1:] == ["0301 DID_CHANGE_RENEWAL_PREF/UPGRADE"]
    assert story.periods[1] == "premium_monthly:0301-0401"
    assert found.transactions[0].fields["isUpgraded"] is True
    assert "isUpgraded" not in found.current.fields
    assert found.current.fields["transactionReason"] == "PURCHASE"


def test_downgrade_waits_for_the_next_period_and_can_be_taken_back() -> None:
    """The renewal carries the new product; going back before has no subtype."""
    story = Story(early=6 * HOUR)
    found = story.buy("0101", "premium_monthly")
    story.do("0105", purchases.change, found, "essential_monthly")
    story.do("0106", purchases.change, found, "premium_monthly")
    story.do("0110", purchases.change, found, "essential_monthly")
    story.until("0202", found)
    assert story.told[1:] == [
        "0105 DID_CHANGE_RENEWAL_PREF/DOWNGRADE",
        "0106 DID_CHANGE_RENEWAL_PREF",
        "0110 DID_CHANGE_RENEWAL_PREF/DOWNGRADE",
        "0131T18 DID_RENEW",
    ]
    pending, renewed = story.notices[3].renewal, story.notices[4].transaction
    assert pending is not None
    assert renewed is not None
    assert pending["productId"] == "premium_monthly"
    assert pending["autoRenewProductId"] == "essential_monthly"
    assert pending["renewalPrice"] == 4_990
    assert renewed["productId"] == "essential_monthly"


@pytest.mark.parametrize(
    ("wanted", "subtype"), [("twin", "UPGRADE"), ("premium_yearly", "DOWNGRADE")]
)
def test_crossgrade_is_immediate_where_periods_are_as_long(wanted: str, subtype: str) -> None:
    """At the same level the length decides."""
    story = Story(TWIN)
    found = story.buy("0101", "premium_monthly")
    story.do("0105", purchases.change, found, wanted)
    assert story.last.subtype == subtype


def test_former_customer_comes_back_to_the_same_lineage() -> None:
    """With a win-back offer, which the transaction names."""
    story = Story()
    found = story.buy("0101", "premium_monthly")
    story.do("0105", renewals.cancel, found)
    story.until("0301", found)
    back = story.do("0315", purchases.resubscribe, found, offer="win_back")
    assert back is found
    assert story.told[-1] == "0315 SUBSCRIBED/RESUBSCRIBE"
    assert story.periods[-1] == "premium_monthly:0315-0615"
    assert found.current.fields["offerIdentifier"] == "win_back"
    assert found.current.fields["offerType"] == 4
    assert story.last.renewal is not None
    assert story.last.renewal["recentSubscriptionStartDate"] == at("0315")


@pytest.mark.parametrize("at_once", [True, False])
def test_offer_is_redeemed_now_or_for_the_next_period(*, at_once: bool) -> None:
    """One that is paid as you go comes with each of its periods, then no more."""
    story = Story()
    found = story.buy("0101", "premium_monthly")
    story.do("0110", purchases.redeem, found, "spring", at_once=at_once)
    assert story.told[-1] == "0110 OFFER_REDEEMED"
    carries = "offerType" in found.current.fields
    assert carries is at_once
    story.until("0620", found)
    named = [it.fields.get("offerIdentifier") for it in found.transactions]
    assert named[:5] == [None, "spring", "spring", "spring", None]
    assert found.transactions[1].fields["price"] == 4_990


def test_offer_with_a_change_of_product() -> None:
    """Higher at once, lower with the next period."""
    story = Story()
    found = story.buy("0101", "essential_monthly")
    story.do("0105", purchases.change, found, "premium_monthly", offer="spring")
    story.do("0110", purchases.change, found, "essential_monthly", offer="code")
    story.until("0206", found)
    assert story.told[1:] == [
        "0105 OFFER_REDEEMED/UPGRADE",
        "0110 OFFER_REDEEMED/DOWNGRADE",
        "0205 DID_RENEW",
    ]
    assert story.notices[1].transaction is not None
    assert story.notices[1].transaction["offerIdentifier"] == "spring"
    assert found.current.fields["offerIdentifier"] == "code"
    assert found.current.fields["productId"] == "essential_monthly"


def test_family_member_has_a_lineage_and_no_token() -> None:
    """It ends with the purchaser's period, and can be revoked."""
    story = Story()
    found = story.buy("0101", "premium_monthly")
    found.app_account_token = "8f0b8b1e-1c7a-4d58-9f57-0f0f4f5f6f7f"
    member = story.do("0110", purchases.share, found)
    fields = member.current.fields
    assert member.id != found.id
    assert fields["inAppOwnershipType"] == "FAMILY_SHARED"
    assert "appAccountToken" not in fields
    assert fields["expiresDate"] == at("0201")
    assert fields["appTransactionId"] != found.app_transaction_id
    story.do("0115", money_back.revoke, member)
    assert story.told[1:] == ["0110 SUBSCRIBED/INITIAL_BUY", "0115 REVOKE"]
    assert story.last.status == 5
    assert story.last.transaction is not None
    assert story.last.transaction["revocationType"] == "FAMILY_REVOKE"


def test_price_of_an_introductory_price_is_paid_up_front() -> None:
    """One period as long as the offer."""
    story = Story()
    found = story.buy("0101", "premium_yearly", offer="intro")
    assert story.periods == ["premium_yearly:0101-0401"]
    story.until("0402", found)
    assert found.current.fields["price"] == 99_990
