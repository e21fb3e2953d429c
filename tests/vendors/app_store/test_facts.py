"""What becomes a fact: subscriptions alone, under ids that stay the same, with all their JSON."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice_server.domain.facts import FactKind, SubscriptionFact
from boxoffice_server.domain.signals import Snapshot
from boxoffice_server.domain.subscription import Environment, LineageKey, SubscriptionSource
from boxoffice_server.vendors.app_store.facts import (
    Signed,
    notification_fact,
    read_story,
    transaction_fact,
)
from boxoffice_server.vendors.app_store.signals import signals
from boxoffice_server.vendors.app_store.table import ROWS
from boxoffice_server.vendors.json_object import JsonObject, MalformedObjectError
from tests.vendors.app_store.payloads import (
    BUNDLE,
    JANUARY_1,
    JANUARY_10,
    LINEAGE,
    PRODUCT,
    RECORDED,
    UUID,
    Json,
    ms,
    notification,
    read_fact,
    renewal,
    told_fact,
    transaction,
)


def test_a_fact_names_its_subscription_and_what_told_it() -> None:
    """The lineage, the notification behind it, and both times."""
    fact = told_fact("SUBSCRIBED", "INITIAL_BUY")
    assert fact.lineage == LineageKey(
        source=SubscriptionSource.APP_STORE,
        environment=Environment.SANDBOX,
        app=BUNDLE,
        lineage=LINEAGE,
    )
    assert (fact.kind, fact.vendor_id) == (FactKind.NOTIFICATION, UUID)
    assert (fact.type, fact.notification_id) == ("SUBSCRIBED/INITIAL_BUY", "ntf_1")
    assert (fact.sign_time, fact.record_time) == (JANUARY_10, RECORDED)
    assert (fact.account_token, fact.token_time, fact.previous_lineage) == ("", None, "")


def test_a_fact_keeps_all_that_was_signed() -> None:
    """A later release may read what this one does not know."""
    told = json.loads(told_fact("DID_RENEW", tx={"fieldOfTomorrow": {"a": [1]}}).payload)
    assert told.keys() == {"type", "subtype", "status", "transaction", "renewal"}
    assert told["transaction"] == transaction(fieldOfTomorrow={"a": [1]})
    assert (told["type"], told["subtype"], told["status"]) == ("DID_RENEW", "", 1)
    assert told["renewal"] == renewal()


def test_the_token_of_an_account_is_in_lower_case_and_as_old_as_the_purchase() -> None:
    """Apps write UUIDs either way; the token links from the purchase on."""
    fact = told_fact("DID_RENEW", tx={"appAccountToken": UUID.upper()})
    assert (fact.account_token, fact.token_time) == (UUID, JANUARY_1)


def test_a_migration_names_the_lineage_before() -> None:
    """D8: the new lineage goes on from the one that Apple names."""
    fact = told_fact("MIGRATION", tx={"previousOriginalTransactionId": "1000000000000009"})
    assert fact.previous_lineage == "1000000000000009"


def test_what_was_read_is_one_fact_per_signature() -> None:
    """The same answer read twice is one fact; a newer signature is news."""
    signed = ms(JANUARY_10)
    assert read_fact().vendor_id == f"tx:2000000100000007:{signed}"
    with_renewal = read_fact(ri={"signedDate": signed + 5})
    assert with_renewal.vendor_id == f"tx:2000000100000007:{signed}:{signed + 5}"
    assert ms(with_renewal.sign_time) == signed + 5
    assert (read_fact().type, with_renewal.type) == ("TRANSACTION", "STATUS")
    assert read_fact(kind=FactKind.SUBMITTED).kind is FactKind.SUBMITTED


def _told(signed: Signed, **fields: object) -> SubscriptionFact | None:
    return notification_fact(
        JsonObject(notification("DID_RENEW") | fields),
        signed,
        notification_id="",
        record_time=RECORDED,
    )


@pytest.mark.parametrize(
    "tx",
    [{"type": "Consumable"}, {"type": None}, {"offerDiscountType": "ONE_TIME"}],
    ids=["a consumable", "no type", "a one-time offer"],
)
def test_what_is_no_subscription_is_no_fact(tx: Json) -> None:
    """What is bought once entitles nobody to anything here."""
    signed = Signed(transaction=transaction(**tx))
    assert _told(signed) is None
    assert transaction_fact(signed, kind=FactKind.READ, record_time=RECORDED) is None


def test_without_anything_signed_there_is_no_fact() -> None:
    """A test notification tells of nothing."""
    nothing = Signed(transaction=None)
    assert _told(nothing) is None
    assert transaction_fact(nothing, kind=FactKind.READ, record_time=RECORDED) is None


def test_a_renewal_info_alone_is_a_fact_that_tells_how_things_stood() -> None:
    """Without a transaction there is no period, but rule R has something to compare."""
    fact = _told(Signed(transaction=None, renewal=renewal()))
    assert fact is not None
    (snapshot,) = signals(fact)
    assert isinstance(snapshot, Snapshot)
    assert (snapshot.product, snapshot.period_key, snapshot.lost) == (PRODUCT, "", None)


@pytest.mark.parametrize(
    "tx",
    [
        {"purchaseDate": None},
        {"expiresDate": None},
        {"expiresDate": ms(JANUARY_1) - 1},
        {"expiresDate": "tomorrow"},
        {"expiresDate": 1 << 62},
        {"originalTransactionId": None},
        {"originalTransactionId": "another"},
        {"productId": 7},
        {"isUpgraded": "no"},
    ],
)
def test_what_apple_never_signs_is_malformed(tx: Json) -> None:
    """It is parked by its notification, and nothing follows from it."""
    with pytest.raises(MalformedObjectError):
        _told(Signed(transaction=transaction(**tx), renewal=renewal()))


def test_what_no_server_of_apples_has_signed_is_no_fact() -> None:
    """Xcode and local tests sign with nobody's key."""
    with pytest.raises(MalformedObjectError):
        _told(
            Signed(transaction=transaction()),
            data={"bundleId": BUNDLE, "environment": "LocalTesting"},
        )


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=3,
)


@given(
    row=st.sampled_from([*ROWS, ("NEVER_HEARD_OF", "")]),
    tx=st.dictionaries(st.sampled_from([*transaction(), "revocationDate", "offerType"]), _JSON),
    ri=st.dictionaries(st.sampled_from([*renewal(), "gracePeriodExpiresDate"]), _JSON),
)
def test_whatever_is_signed_becomes_a_fact_that_can_be_read_or_is_malformed(
    row: tuple[str, str], tx: dict[str, object], ri: dict[str, object]
) -> None:
    """No JSON raises anything else, and a fact can be read for ever."""
    try:
        fact = told_fact(*row, tx=tx, ri=ri)
    except (MalformedObjectError, AssertionError):
        return
    read_story(fact)
    for signal in signals(fact):
        assert signal.fact_id == fact.id
        assert signal.order.time <= fact.sign_time
