"""What a device hands in: only what Apple has signed counts, however it is handed in."""

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.facts import FactKind, SubscriptionFact
from boxoffice_server.ports import SubmittedPurchase
from boxoffice_server.vendors.app_store.client import AppStoreClient
from boxoffice_server.vendors.app_store.submissions import AppStoreSubmissions
from tests.vendors.app_store.fake_apple import CREDENTIALS, FakeApple, running_apple
from tests.vendors.app_store.notices import NOW, verification
from tests.vendors.app_store.payloads import read_fact, renewal, transaction
from tests.vendors.app_store.signing import make_apple, the_apple

ID = "2000000100000007"
SIGNED = the_apple().sign(transaction())


@dataclass(frozen=True, kw_only=True)
class Counter:
    """Where purchases are handed in."""

    apple: FakeApple
    submissions: AppStoreSubmissions

    async def take(self, **fields: str) -> SubscriptionFact:
        """Hand something in."""
        return await self.submissions.read(SubmittedPurchase(**fields), now=NOW)

    async def refusal(self, **fields: str) -> Reason:
        """Hand something in that is refused."""
        with pytest.raises(BoxofficeError) as caught:
            await self.take(**fields)
        return caught.value.reason


@pytest.fixture
async def counter() -> AsyncIterator[Counter]:
    """A counter, and an Apple that knows one transaction."""
    verifying = verification()
    async with running_apple() as apple:
        apple.tell(f"/v1/transactions/{ID}", {"signedTransactionInfo": SIGNED})
        client = AppStoreClient(verification=verifying, credentials=CREDENTIALS, base=apple.url)
        submissions = AppStoreSubmissions(verification=verifying, client=client)
        yield Counter(apple=apple, submissions=submissions)
    await verifying.close()


def app_receipt(transaction_id: str | None) -> str:
    """A receipt of an app, in the parts that lead to a purchase: attributes inside PKCS #7."""
    purchases = b""
    if transaction_id is not None:
        purchase = _attribute(1703, _tlv(0x0C, transaction_id.encode()))
        purchases = _attribute(17, _tlv(0x31, purchase))
    content = _tlv(0x04, _tlv(0x31, purchases))
    plain = _tlv(0x30, _object_id("2a864886f70d010701") + _tlv(0xA0, content))
    signed = _tlv(0x30, _tlv(0x02, b"\x01") + _tlv(0x31, b"") + plain)
    receipt = _tlv(0x30, _object_id("2a864886f70d010702") + _tlv(0xA0, signed))
    return base64.b64encode(receipt).decode()


def _attribute(number: int, value: bytes) -> bytes:
    numbered = _tlv(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big")) + _tlv(
        0x02, b"\x01"
    )
    return _tlv(0x30, numbered + _tlv(0x04, value))


def _object_id(digits: str) -> bytes:
    return _tlv(0x06, bytes.fromhex(digits))


def _tlv(tag: int, value: bytes) -> bytes:
    """A value in DER (X.690): its tag, its length in two bytes, itself."""
    return bytes([tag, 0x82]) + len(value).to_bytes(2, "big") + value


def purchase_receipt(transaction_id: str) -> str:
    """A receipt of a purchase, as it was before receipts of apps."""
    info = base64.b64encode(f'{{\n\t"transaction-id" = "{transaction_id}";\n}}'.encode()).decode()
    return base64.b64encode(f'{{\n\t"purchase-info" = "{info}";\n}}'.encode()).decode()


async def test_a_signed_transaction_counts_by_its_signature(counter: Counter) -> None:
    """Nobody is asked."""
    fact = await counter.take(signed_transaction=SIGNED)
    assert fact == replace(read_fact(kind=FactKind.SUBMITTED), record_time=NOW)
    assert counter.apple.asked == []


async def test_an_id_is_what_to_ask_for(counter: Counter) -> None:
    """What Apple answers is signed."""
    fact = await counter.take(transaction_id=ID)
    assert (fact.kind, fact.vendor_id) == (FactKind.READ, read_fact().vendor_id)


@pytest.mark.parametrize(
    "receipt", [app_receipt(ID), purchase_receipt(ID)], ids=["app", "purchase"]
)
async def test_a_receipt_leads_to_what_to_ask_for(counter: Counter, receipt: str) -> None:
    """Its own signature says nothing any more."""
    fact = await counter.take(receipt=receipt)
    assert fact.vendor_id == read_fact().vendor_id
    assert [each.path for each in counter.apple.asked] == [f"/inApps/v1/transactions/{ID}"]


@pytest.mark.parametrize(
    "signed",
    [
        make_apple().sign(transaction()),
        the_apple().sign(transaction(bundleId="com.example.other")),
        the_apple().sign(transaction(environment="Production")),
        the_apple().sign(transaction(type="Consumable")),
        the_apple().sign(transaction(purchaseDate="today")),
        the_apple().sign(transaction(signedDate=None)),
        the_apple().sign(renewal()),
        "a.b.c",
        "\ud800",
    ],
    ids=["forged", "app", "server", "bought once", "no time", "undated", "renewal", "no JWS", "?"],
)
async def test_what_is_no_subscription_of_ours_is_refused(counter: Counter, signed: str) -> None:
    """In words, and without asking anyone."""
    assert await counter.refusal(signed_transaction=signed) is Reason.TRANSACTION_INVALID
    assert counter.apple.asked == []


@pytest.mark.parametrize(
    "receipt",
    [
        "!",
        "é",
        base64.b64encode(b"\xff\xfe").decode(),
        base64.b64encode(b"no receipt").decode(),
        app_receipt(None),
        app_receipt("../../../v1/notifications/test"),
        purchase_receipt("abc"),
        base64.b64encode(b"\x30\x80" * 5000).decode(),
    ],
)
async def test_a_receipt_that_is_none_is_refused(counter: Counter, receipt: str) -> None:
    """Whatever it is; what stands in it never becomes a path by itself."""
    assert await counter.refusal(receipt=receipt) is Reason.TRANSACTION_INVALID
    assert counter.apple.asked == []


@pytest.mark.parametrize("transaction_id", ["", "abc", "1/2", "٣", "1" * 33, " 1"])
async def test_an_id_that_is_none_is_refused(counter: Counter, transaction_id: str) -> None:
    """Before it becomes part of a path."""
    assert await counter.refusal(transaction_id=transaction_id) is Reason.TRANSACTION_INVALID
    assert counter.apple.asked == []


async def test_an_id_that_apple_does_not_know_is_not_found(counter: Counter) -> None:
    """The purchase may be another app's."""
    assert await counter.refusal(transaction_id="7") is Reason.TRANSACTION_NOT_FOUND


async def test_an_id_of_something_bought_once_is_refused(counter: Counter) -> None:
    """Apple knows it, and it is no subscription."""
    once = the_apple().sign(transaction(type="Consumable"))
    counter.apple.tell("/v1/transactions/7", {"signedTransactionInfo": once})
    assert await counter.refusal(transaction_id="7") is Reason.TRANSACTION_INVALID
