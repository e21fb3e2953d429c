"""Asking the App Store by Apple's own client: what is sent and believed, what refusals mean."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from aiohttp import web

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.facts import FactKind, SubscriptionFact
from boxoffice_server.domain.subscription import Environment, LineageKey, SubscriptionSource
from boxoffice_server.vendors.app_store.client import AppStoreClient, Patience
from boxoffice_server.vendors.app_store.recipients import PRODUCTION, SANDBOX, App, Recipients
from boxoffice_server.vendors.app_store.verification import AppStoreVerification
from tests.vendors.app_store.fake_apple import CREDENTIALS, Asked, FakeApple, refusal, running_apple
from tests.vendors.app_store.notices import NOW, signed_payload, verification
from tests.vendors.app_store.payloads import (
    BUNDLE,
    JANUARY_1,
    LINEAGE,
    UUID,
    ms,
    read_fact,
    renewal,
    transaction,
)
from tests.vendors.app_store.signing import make_apple, the_apple

LINEAGE_KEY = LineageKey(
    source=SubscriptionSource.APP_STORE,
    environment=Environment.SANDBOX,
    app=BUNDLE,
    lineage=LINEAGE,
)
AT_ONCE = Patience(
    request=timedelta(seconds=5), call=timedelta(seconds=10), pauses=(timedelta(), timedelta())
)
STATUSES, HISTORY = "/v1/subscriptions", "/v2/history"
TRANSACTION = "/v1/transactions"
SIGNED = the_apple().sign(transaction())


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A client, and the Apple that it asks."""

    apple: FakeApple
    client: AppStoreClient
    verifying: AppStoreVerification

    async def refused(self) -> BoxofficeError:
        """Ask for the statuses and be refused."""
        with pytest.raises(BoxofficeError) as caught:
            await self.client.statuses(LINEAGE_KEY, now=NOW)
        return caught.value

    def with_patience(self, patience: Patience) -> AppStoreClient:
        """A client of another patience."""
        return make_client(self.verifying, self.apple, patience=patience)


def make_client(
    verifying: AppStoreVerification, apple: FakeApple, *, patience: Patience = AT_ONCE
) -> AppStoreClient:
    """A client of a fake Apple's."""
    return AppStoreClient(
        verification=verifying, credentials=CREDENTIALS, base=apple.url, patience=patience
    )


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """A client that asks at once as often as it may."""
    verifying = verification()
    async with running_apple() as apple:
        yield Desk(apple=apple, client=make_client(verifying, apple), verifying=verifying)
    await verifying.close()


def status(signed: str = SIGNED, **fields: object) -> dict[str, object]:
    """The answer about one subscription."""
    item = {
        "originalTransactionId": LINEAGE,
        "status": 1,
        "signedTransactionInfo": signed,
        "signedRenewalInfo": the_apple().sign(renewal()),
    } | fields
    return {
        "environment": "Sandbox",
        "bundleId": BUNDLE,
        "data": [{"subscriptionGroupIdentifier": "21", "lastTransactions": [item]}],
    }


def history(*signed: str, more: str = "") -> dict[str, object]:
    """A page of transactions."""
    return {
        "revision": more or "end",
        "hasMore": bool(more),
        "bundleId": BUNDLE,
        "environment": "Sandbox",
        "signedTransactions": list(signed),
    }


async def pages(client: AppStoreClient) -> list[list[SubscriptionFact]]:
    """The history of the lineage."""
    return [page async for page in client.history(LINEAGE_KEY, now=NOW)]


# -- what is asked and answered -------------------------------------------------------------------


async def test_statuses_are_facts_that_tell_how_things_stand(desk: Desk) -> None:
    """Asked for by the lineage, with a token for its app."""
    desk.apple.tell_of_lineage(STATUSES, status())
    (fact,) = await desk.client.statuses(LINEAGE_KEY, now=NOW)
    wanted = read_fact(ri={})
    assert (fact.vendor_id, fact.kind, fact.record_time) == (wanted.vendor_id, FactKind.READ, NOW)
    assert fact.lineage == LINEAGE_KEY
    assert desk.apple.asked == [
        Asked(
            method="GET",
            path=f"/inApps/v1/subscriptions/{LINEAGE}",
            query={},
            body=None,
            app=BUNDLE,
        )
    ]


async def test_a_status_without_a_renewal_info_is_a_period_alone(desk: Desk) -> None:
    """Apple always sends one; nothing breaks without it."""
    desk.apple.tell_of_lineage(STATUSES, status(signedRenewalInfo=None))
    (fact,) = await desk.client.statuses(LINEAGE_KEY, now=NOW)
    assert fact.vendor_id == read_fact().vendor_id


async def test_history_is_read_to_its_end(desk: Desk) -> None:
    """Page by page, oldest first, and of subscriptions alone."""
    second = the_apple().sign(transaction(transactionId="8", purchaseDate=ms(JANUARY_1) + 1))
    once = the_apple().sign(transaction(transactionId="9", type="Consumable"))
    desk.apple.tell_of_lineage(HISTORY, history(SIGNED, more="rev-1"), history(second, once))
    told = await pages(desk.client)
    assert [[fact.vendor_id for fact in page] for page in told] == [
        [read_fact().vendor_id],
        [f"tx:8:{ms(NOW)}"],
    ]
    asked = {"sort": "ASCENDING", "productType": "AUTO_RENEWABLE"}
    assert [each.query for each in desk.apple.asked] == [asked, asked | {"revision": "rev-1"}]


async def test_a_transaction_is_read_by_its_id(desk: Desk) -> None:
    """And is none where it is no subscription's."""
    once = the_apple().sign(transaction(type="Consumable"))
    desk.apple.tell(f"{TRANSACTION}/7", {"signedTransactionInfo": SIGNED})
    desk.apple.tell(f"{TRANSACTION}/8", {"signedTransactionInfo": once})
    fact = await desk.client.transaction("7", now=NOW)
    assert fact is not None
    assert fact.lineage == LINEAGE_KEY
    assert await desk.client.transaction("8", now=NOW) is None


async def test_a_transaction_is_looked_for_with_every_app_of_ours() -> None:
    """Apple knows no transaction but those of the app that its token names."""
    other = f"{BUNDLE}.other"
    verifying = verification(
        recipients=Recipients.of([App(bundle_id=other), App(bundle_id=BUNDLE)], [SANDBOX])
    )
    async with running_apple() as apple:
        client = make_client(verifying, apple)
        apple.tell(
            f"{TRANSACTION}/7",
            refusal(404, 4040010, "Transaction id not found."),
            {"signedTransactionInfo": SIGNED},
        )
        fact = await client.transaction("7", now=NOW)
        assert fact is not None
        assert fact.lineage.app == BUNDLE
        assert [each.app for each in apple.asked] == [other, BUNDLE]
        with pytest.raises(BoxofficeError) as caught:
            await client.transaction("9", now=NOW)
        assert caught.value.reason is Reason.TRANSACTION_NOT_FOUND
    await verifying.close()


async def test_notifications_that_were_missed_are_read_as_they_were_sent(desk: Desk) -> None:
    """Between two times, page by page, in what was signed then."""
    first, second = signed_payload("SUBSCRIBED", "INITIAL_BUY"), signed_payload("DID_RENEW")
    path = "/v1/notifications/history"
    desk.apple.tell(
        path,
        {
            "paginationToken": "page-2",
            "hasMore": True,
            "notificationHistory": [{"signedPayload": first, "sendAttempts": []}],
        },
        {"hasMore": False, "notificationHistory": [{"signedPayload": second}]},
    )
    since = NOW - timedelta(days=1)
    told = [
        [(each.vendor_event_id, each.type) for each in page]
        async for page in desk.client.notifications(since, NOW, now=NOW, only_failures=True)
    ]
    assert told == [[(UUID, "SUBSCRIBED/INITIAL_BUY")], [(UUID, "DID_RENEW")]]
    assert [(each.method, each.query) for each in desk.apple.asked] == [
        ("POST", {}),
        ("POST", {"paginationToken": "page-2"}),
    ]
    asked = {"startDate": ms(since), "endDate": ms(NOW), "onlyFailures": True}
    assert [each.body for each in desk.apple.asked] == [asked, asked]


async def test_all_notifications_are_read_unless_failures_alone_are_asked_for(desk: Desk) -> None:
    """Where there are none, there is a page without any."""
    desk.apple.tell("/v1/notifications/history", {"hasMore": False, "notificationHistory": []})
    told = [page async for page in desk.client.notifications(JANUARY_1, NOW, now=NOW)]
    assert told == [[]]
    assert desk.apple.asked[0].body == {"startDate": ms(JANUARY_1), "endDate": ms(NOW)}


async def test_no_time_is_asked_for_before_what_apple_keeps(desk: Desk) -> None:
    """It would be refused; and where all of it is before, there is nothing to ask for."""
    desk.apple.tell("/v1/notifications/history", {"hasMore": False, "notificationHistory": []})
    since, until = NOW - timedelta(days=40), NOW - timedelta(days=35)
    assert [page async for page in desk.client.notifications(since, NOW, now=NOW)] == [[]]
    assert [page async for page in desk.client.notifications(since, until, now=NOW)] == []
    (asked,) = desk.apple.asked
    assert ms(NOW - timedelta(days=30)) < asked.body["startDate"] < ms(NOW - timedelta(days=29))


async def test_a_test_notification_is_asked_for(desk: Desk) -> None:
    """Apple answers with the token under which it tells what became of it."""
    desk.apple.tell("/v1/notifications/test", {"testNotificationToken": "token"})
    assert await desk.client.request_test(BUNDLE, SANDBOX) == "token"
    with pytest.raises(BoxofficeError) as caught:
        await desk.client.request_test("com.example.other", SANDBOX)
    assert caught.value.reason is Reason.TRANSACTION_NOT_FOUND


async def test_production_and_the_sandbox_are_asked_each_at_its_own() -> None:
    """Where no address is set, they are Apple's."""
    from boxoffice_server.vendors.app_store.connection import Connection  # noqa: PLC0415

    ours = Recipients.of([App(bundle_id=BUNDLE, app_apple_id=1)], [PRODUCTION, SANDBOX])
    addresses = [
        Connection(CREDENTIALS, each, base="", patience=timedelta(seconds=1))._base_url
        for each in ours.all
    ]
    assert addresses == [
        "https://api.storekit.apple.com",
        "https://api.storekit-sandbox.apple.com",
    ]


# -- what is not believed -------------------------------------------------------------------------

UNBELIEVED: dict[str, dict[str, object]] = {
    "another Apple's transaction": status(make_apple().sign(transaction())),
    "another app's": status(the_apple().sign(transaction(bundleId="com.example.other"))),
    "another environment's": status(the_apple().sign(transaction(environment="Production"))),
    "another Apple's renewal info": status(signedRenewalInfo=make_apple().sign(renewal())),
    "a renewal info of another subscription": status(
        signedRenewalInfo=the_apple().sign(renewal(originalTransactionId="9"))
    ),
    "nothing signed": status(""),
    "an unreadable transaction": status(the_apple().sign(transaction(purchaseDate="today"))),
    "another shape": {"data": 7},
}


@pytest.mark.parametrize("answer", UNBELIEVED.values(), ids=UNBELIEVED)
async def test_an_answer_that_is_not_signed_for_us_is_none(
    desk: Desk, answer: dict[str, object]
) -> None:
    """Whoever answers at that address, only Apple's signature counts."""
    desk.apple.tell_of_lineage(STATUSES, answer)
    assert (await desk.refused()).reason is Reason.VENDOR_UNAVAILABLE


async def test_history_that_goes_on_from_nowhere_is_none(desk: Desk) -> None:
    """It would be read for ever."""
    desk.apple.tell_of_lineage(HISTORY, history(SIGNED) | {"hasMore": True, "revision": None})
    with pytest.raises(BoxofficeError) as caught:
        await pages(desk.client)
    assert caught.value.reason is Reason.VENDOR_UNAVAILABLE


async def test_a_notification_in_history_that_apple_did_not_sign_is_none(desk: Desk) -> None:
    """Nothing of such a page is taken."""
    forged = {"signedPayload": signed_payload(apple=make_apple())}
    desk.apple.tell("/v1/notifications/history", {"notificationHistory": [forged]})
    with pytest.raises(BoxofficeError) as caught:
        async for _ in desk.client.notifications(JANUARY_1, NOW, now=NOW):
            pass
    assert caught.value.reason is Reason.VENDOR_UNAVAILABLE


# -- what refusals mean ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "reason", "times"),
    [
        (refusal(429, 4290000, "Rate limit exceeded."), Reason.VENDOR_UNAVAILABLE, 3),
        (refusal(500, 5000001, "Try again."), Reason.VENDOR_UNAVAILABLE, 3),
        (web.Response(status=503, text="down"), Reason.VENDOR_UNAVAILABLE, 3),
        (refusal(404, 4040006, "Not found yet."), Reason.VENDOR_UNAVAILABLE, 3),
        (web.Response(status=401), Reason.VENDOR_UNAVAILABLE, 3),
        (web.Response(status=200, text="no JSON"), Reason.VENDOR_UNAVAILABLE, 3),
        (web.Response(status=307, headers={"Location": "/"}), Reason.VENDOR_REFUSED, 1),
        (refusal(404, 4040005, "Not found."), Reason.TRANSACTION_NOT_FOUND, 1),
        (refusal(404, 4040010, "Not found."), Reason.TRANSACTION_NOT_FOUND, 1),
        (refusal(400, 4000006, "Invalid id."), Reason.TRANSACTION_NOT_FOUND, 1),
        (refusal(404, 4040003, "No such app."), Reason.VENDOR_REFUSED, 1),
        (refusal(400, 4000999, "A fault of tomorrow."), Reason.VENDOR_REFUSED, 1),
        (web.Response(status=400, text="no JSON"), Reason.VENDOR_REFUSED, 1),
    ],
    ids=lambda value: str(getattr(value, "status", value)),
)
async def test_a_refusal_is_told_in_our_words(
    desk: Desk, answer: web.Response, reason: Reason, times: int
) -> None:
    """What may be different soon is asked for again; the rest is not."""
    desk.apple.tell_of_lineage(STATUSES, answer)
    refused = await desk.refused()
    assert refused.reason is reason
    assert (refused.retry_after is not None) is (reason is Reason.VENDOR_UNAVAILABLE)
    assert len(desk.apple.asked) == times


async def test_what_fails_once_is_asked_again(desk: Desk) -> None:
    """The caller hears of the answer alone."""
    desk.apple.tell_of_lineage(STATUSES, refusal(500, 5000001, "Try again."), status())
    assert len(await desk.client.statuses(LINEAGE_KEY, now=NOW)) == 1


async def test_nobody_there_is_unavailable(desk: Desk) -> None:
    """Nothing listens at the address."""
    client = AppStoreClient(
        verification=desk.verifying,
        credentials=CREDENTIALS,
        base="http://127.0.0.1:9",
        patience=AT_ONCE,
    )
    with pytest.raises(BoxofficeError) as caught:
        await client.statuses(LINEAGE_KEY, now=NOW)
    assert caught.value.reason is Reason.VENDOR_UNAVAILABLE


SHORT = timedelta(seconds=0.1)


@pytest.mark.parametrize(
    "patience", [replace(AT_ONCE, request=SHORT), replace(AT_ONCE, call=SHORT)]
)
async def test_silence_is_not_waited_for_longer_than_patience(
    desk: Desk, patience: Patience
) -> None:
    """Neither of one request nor of the whole call."""
    desk.apple.may_answer.clear()
    client = desk.with_patience(patience)
    with pytest.raises(BoxofficeError) as caught:
        await client.statuses(LINEAGE_KEY, now=NOW)
    assert caught.value.reason is Reason.VENDOR_UNAVAILABLE


async def test_without_a_key_nobody_is_asked(desk: Desk) -> None:
    """Notifications are taken all the same."""
    client = AppStoreClient(verification=desk.verifying, credentials=None, base=desk.apple.url)
    with pytest.raises(BoxofficeError) as caught:
        await client.statuses(LINEAGE_KEY, now=NOW)
    assert caught.value.reason is Reason.SOURCE_NOT_CONFIGURED
    assert desk.apple.asked == []


async def test_a_lineage_of_an_app_that_is_ours_no_more_is_not_found(desk: Desk) -> None:
    """Nobody could be asked about it."""
    for lineage in (
        replace(LINEAGE_KEY, app="com.example.other"),
        replace(LINEAGE_KEY, environment=Environment.PRODUCTION),
    ):
        with pytest.raises(BoxofficeError) as caught:
            await desk.client.statuses(lineage, now=NOW)
        assert caught.value.reason is Reason.TRANSACTION_NOT_FOUND
