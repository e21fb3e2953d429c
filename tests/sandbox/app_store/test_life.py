"""The life of subscriptions: what Apple tells of it, when, and with what in it."""

from dataclasses import replace

import pytest

from boxoffice_sandbox.app_store import money_back, passing, purchases, renewals
from boxoffice_sandbox.app_store.catalogue import Offer, OfferKind, OfferMode, Product
from boxoffice_sandbox.app_store.subscription import Subscription, subscription_from
from boxoffice_sandbox.errors import StripeError
from tests.sandbox.app_store.stories import Story, at, day

HOUR = 3_600_000
QUARTERLY = Product(
    id="quarterly", group="premium", tier="premium", level=1, period="P3M", price=24_990
)
TWIN = Product(id="twin", group="premium", tier="premium", level=1, period="P1M", price=9_990)


def test_first_purchase_renews_early() -> None:
    """Apple renews before the period ends; the new period begins where the old one ends."""
    story = Story(early=8 * HOUR)
    found = story.buy("0101", "premium_monthly")
    story.until("0215", found)
    assert story.told == ["0101 SUBSCRIBED/INITIAL_BUY", "0131T16 DID_RENEW"]
    assert story.periods == ["premium_monthly:0101-0201", "premium_monthly:0201-0301"]
    first, second = (notice.transaction for notice in story.notices)
    assert first is not None
    assert second is not None
    assert first["transactionId"] == first["originalTransactionId"] == found.id
    assert second["originalTransactionId"] == found.id
    assert len({first["transactionId"], second["transactionId"]}) == 2
    assert first["webOrderLineItemId"] != second["webOrderLineItemId"]
    assert (first["transactionReason"], second["transactionReason"]) == ("PURCHASE", "RENEWAL")
    assert second["originalPurchaseDate"] == at("0101")


def test_trial_that_is_cancelled_resumed_converted_and_left() -> None:
    """A trial has no notification of its own at its end: the renewal carries no offer."""
    story = Story(early=4 * HOUR)
    found = story.buy("0101", "essential_monthly", offer="trial")
    story.do("0103", renewals.cancel, found)
    story.do("0105", renewals.enable, found)
    story.until("0120", found)
    story.do("0120", renewals.cancel, found)
    story.until("0301", found)
    assert story.told == [
        "0101 SUBSCRIBED/INITIAL_BUY",
        "0103 DID_CHANGE_RENEWAL_STATUS/AUTO_RENEW_DISABLED",
        "0105 DID_CHANGE_RENEWAL_STATUS/AUTO_RENEW_ENABLED",
        "0107T20 DID_RENEW",
        "0120 DID_CHANGE_RENEWAL_STATUS/AUTO_RENEW_DISABLED",
        "0208 EXPIRED/VOLUNTARY",
    ]
    trial, renewed = story.notices[0].transaction, story.notices[3].transaction
    assert trial is not None
    assert renewed is not None
    assert (trial["offerType"], trial["offerDiscountType"], trial["offerPeriod"]) == (
        1,
        "FREE_TRIAL",
        "P7D",
    )
    assert "offerIdentifier" not in trial
    assert (trial["price"], renewed["price"]) == (0, 4_990)
    assert "offerType" not in renewed
    assert story.last.renewal is not None
    assert story.last.renewal["expirationIntent"] == 1
    assert story.last.renewal["eligibleWinBackOfferIds"] == ["win_back"]
    assert story.last.status == 2


def test_purchase_during_retry_is_a_second_lineage() -> None:
    """The first is tried until sixty days after its period, grace included."""
    story = Story(QUARTERLY)
    first = story.buy("0321", "quarterly")
    renewals.let_fail(first, grace_days=16)
    story.until("0720", first)
    second = story.do("0729", purchases.resubscribe, first, product="quarterly")
    story.until("0901", first, second)
    assert story.told == [
        "0321 SUBSCRIBED/INITIAL_BUY",
        "0621 DID_FAIL_TO_RENEW/GRACE_PERIOD",
        "0707 GRACE_PERIOD_EXPIRED",
        "0729 SUBSCRIBED/RESUBSCRIBE",
        "0820 EXPIRED/BILLING_RETRY",
    ]
    assert first.id != second.id
    assert first.app_transaction_id == second.app_transaction_id
    assert story.periods[3] == "quarterly:0729-1029"
    grace, retry = story.notices[1], story.notices[2]
    assert (grace.status, retry.status) == (4, 3)
    assert grace.renewal is not None
    assert grace.renewal["gracePeriodExpiresDate"] == at("0707")
    assert grace.renewal["isInBillingRetryPeriod"] is True


def test_recovery_keeps_the_billing_date_in_grace_only() -> None:
    """After it, the day of recovery counts."""
    story = Story()
    for grace_days, start in ((16, "0201"), (0, "0205")):
        found = story.buy("0101", "premium_monthly")
        renewals.let_fail(found, grace_days=grace_days)
        story.until("0205", found)
        story.do("0205", renewals.recover, found)
        assert story.told[-1] == "0205 DID_RENEW/BILLING_RECOVERY"
        assert day(found.current.fields["purchaseDate"]) == start
        assert story.last.status == 1


def test_customer_who_gives_up_in_grace_or_retry_expires_voluntarily() -> None:
    """At the end of grace, or at once."""
    story = Story()
    for grace_days, when in ((16, "0217"), (0, "0205")):
        found = story.buy("0101", "premium_monthly")
        renewals.let_fail(found, grace_days=grace_days)
        story.until("0205", found)
        story.do("0205", renewals.cancel, found)
        story.until("0501", found)
        assert story.told[-1] == f"{when} EXPIRED/VOLUNTARY"


def test_higher_price_needs_consent() -> None:
    """Without an answer it ends, with a no as well, with a yes it costs more."""
    for answer, told in (
        (None, ["0201 EXPIRED/PRICE_INCREASE"]),
        (renewals.accept_price, ["0110 PRICE_INCREASE/ACCEPTED", "0201 DID_RENEW"]),
        (
            renewals.refuse_price,
            ["0110 DID_CHANGE_RENEWAL_STATUS", "0201 EXPIRED/PRICE_INCREASE"],
        ),
    ):
        story = Story()
        found = story.buy("0101", "premium_monthly")
        story.do("0105", renewals.raise_price, found, 12_990, consent=True)
        assert story.last.renewal is not None
        assert story.last.renewal["priceIncreaseStatus"] == 0
        assert story.last.renewal["renewalPrice"] == 12_990
        if answer is not None:
            story.do("0110", answer, found)
        story.until("0202", found)
        assert story.told[1:] == ["0105 PRICE_INCREASE/PENDING", *told]
        accepted = answer is renewals.accept_price
        assert found.current.fields["price"] == (12_990 if accepted else 9_990)
        assert story.last.renewal is not None
        assert story.last.renewal.get("expirationIntent") == (None if accepted else 3)


def test_customer_who_cancelled_before_answering_left_voluntarily() -> None:
    """The price is not what ended it."""
    story = Story()
    found = story.buy("0101", "premium_monthly")
    story.do("0105", renewals.raise_price, found, 12_990, consent=True)
    story.do("0110", renewals.cancel, found)
    story.until("0202", found)
    assert story.told[-1] == "0201 EXPIRED/VOLUNTARY"


def test_higher_price_that_needs_no_consent_is_accepted() -> None:
    """Apple tells it as accepted."""
    story = Story()
    found = story.buy("0101", "premium_monthly")
    story.do("0105", renewals.raise_price, found, 10_490, consent=False)
    story.until("0302", found)
    assert story.told[1:] == ["0105 PRICE_INCREASE/ACCEPTED", "0201 DID_RENEW", "0301 DID_RENEW"]
    assert found.current.fields["price"] == 10_490


def test_extension_moves_the_renewal_and_not_the_transaction() -> None:
    """Only the renewal info has the new date; the next period begins there."""
    story = Story()
    found = story.buy("0101", "premium_monthly")
    story.do("0105", renewals.extend, found, 10)
    assert story.periods[-1] == "premium_monthly:0101-0201"
    assert story.last.renewal is not None
    assert story.last.renewal["renewalDate"] == at("0211")
    story.until("0212", found)
    assert story.periods[-1] == "premium_monthly:0211-0311"


def test_product_that_is_no_longer_sold_ends() -> None:
    """At the end of the period."""
    story = Story(TWIN)
    found = story.buy("0101", "twin")
    story.products["twin"] = replace(TWIN, for_sale=False)
    story.until("0202", found)
    assert story.told[-1] == "0201 EXPIRED/PRODUCT_NOT_FOR_SALE"
    assert story.last.renewal is not None
    assert story.last.renewal["expirationIntent"] == 4


def test_months_end_on_the_day_they_began() -> None:
    """Or on their last, without forgetting the day."""
    story = Story()
    found = story.buy("0131", "premium_monthly")
    story.until("0415", found)
    assert [day(it.fields["expiresDate"]) for it in found.transactions] == [
        "0228",
        "0331",
        "0430",
    ]


def test_what_makes_no_sense_is_refused_with_a_reason() -> None:
    """Each names what is in the way, and nothing is told of it."""
    story = Story()
    found = story.buy("0101", "premium_monthly")
    for act, words, reason in (
        (renewals.renew, (), "within a day"),
        (renewals.enable, (), "renews as it is"),
        (renewals.recover, (), "must be grace or retry"),
        (renewals.accept_price, (), "was not asked"),
        (purchases.resubscribe, (), "only a former customer"),
        (purchases.change, ("nothing",), "No such product"),
        (purchases.change, ("premium_monthly",), "stays so"),
        (money_back.reverse, (), "has no refund"),
        (money_back.revoke, (), "its customer's own"),
    ):
        with pytest.raises(StripeError, match=reason):
            story.do("0105", act, found, *words)
    assert len(story.notices) == 1


def test_subscription_is_read_as_it_was_written() -> None:
    """Also in the middle of things."""
    story = Story()
    found = story.buy("0101", "premium_monthly", offer="spring")
    story.do("0105", renewals.raise_price, found, 12_990, consent=True)
    renewals.let_fail(found, grace_days=3)
    assert subscription_from(found.data()) == found


def test_due_is_never_before_the_period_began() -> None:
    """Also where a period is shorter than Apple's lead."""
    short = Product(
        id="short",
        group="premium",
        tier="premium",
        level=1,
        period="PT5M",
        price=990,
        offers=(Offer(id="o", kind=OfferKind.CODE, mode=OfferMode.FREE_TRIAL, period="PT5M"),),
    )
    story = Story(short)
    found: Subscription = story.buy("0101", "short")
    assert passing.due(found, story.products, early=HOUR) == at("0101") + 1
