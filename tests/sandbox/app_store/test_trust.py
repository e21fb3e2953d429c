"""What the App Store signs, judged by Apple's own library."""

import asyncio
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from appstoreserverlibrary.models.Environment import Environment
from appstoreserverlibrary.signed_data_verifier import (
    SignedDataVerifier,
    VerificationException,
    VerificationStatus,
)
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from boxoffice_sandbox.app_store import trust
from boxoffice_sandbox.app_store.server import AppStoreOptions
from boxoffice_sandbox.app_store.trust import Trust
from boxoffice_sandbox.server import Options, running
from boxoffice_sandbox.store import Store

BUNDLE = "com.example.boxoffice"


def verifier(root: bytes, *, online: bool) -> SignedDataVerifier:
    """Apple's judge, trusting one root."""
    return SignedDataVerifier([root], online, Environment.SANDBOX, BUNDLE)


def transaction(signed_at: int) -> dict[str, object]:
    """The least that the library looks at."""
    return {"bundleId": BUNDLE, "environment": "Sandbox", "signedDate": signed_at}


@asynccontextmanager
async def sandbox(folder: Path) -> AsyncIterator[tuple[str, bytes]]:
    """A running sandbox: its address, and the root that it wrote to a file."""
    options = Options(
        database=folder / "sandbox.db",
        port=0,
        webhook_url="",
        app_store=AppStoreOptions(root_file=folder / "root.cer"),
    )
    async with running(options) as address:
        yield address, (folder / "root.cer").read_bytes()


def opened(folder: Path, address: str) -> Trust:
    """The chain in a sandbox's file."""
    store = Store(folder / "sandbox.db")
    try:
        return trust.load(store, ocsp_url=f"http://{address}/app-store/ocsp")
    finally:
        store.close()


@pytest.mark.parametrize("year", [2025, 2027, 2060, 2100])
def test_signature_is_good_at_any_time_the_clock_shows(year: int, tmp_path: Path) -> None:
    """Without online checks a chain is judged at the time of signing."""
    made = opened(tmp_path, "127.0.0.1:1")
    signed_at = (year - 1970) * 31_557_600_000
    judge = verifier(made.root.der, online=False)
    decoded = judge.verify_and_decode_signed_transaction(made.sign(transaction(signed_at)))
    assert decoded.signedDate == signed_at


async def test_online_checks_ask_the_sandbox(tmp_path: Path) -> None:
    """The library asks after the leaf and the intermediate, and is content."""
    async with sandbox(tmp_path) as (address, root):
        signed = opened(tmp_path, address).sign(transaction(int(time.time() * 1000)))
        judge = verifier(root, online=True)
        decoded = await asyncio.to_thread(judge.verify_and_decode_signed_transaction, signed)
        assert decoded.bundleId == BUNDLE


async def test_online_checks_of_a_sandbox_that_is_gone_can_be_tried_again(tmp_path: Path) -> None:
    """Nobody answers: that says nothing about the signature."""
    async with sandbox(tmp_path) as (address, root):
        signed = opened(tmp_path, address).sign(transaction(int(time.time() * 1000)))
    judge = verifier(root, online=True)
    with pytest.raises(VerificationException) as refused:
        await asyncio.to_thread(judge.verify_and_decode_signed_transaction, signed)
    assert refused.value.status is VerificationStatus.RETRYABLE_VERIFICATION_FAILURE


async def test_root_is_served_and_outlives_a_restart_elsewhere(tmp_path: Path) -> None:
    """On another port the chain names another address, under the same root."""
    async with sandbox(tmp_path) as (address, root):
        url = f"http://{address}/app-store/root.cer"
        assert await asyncio.to_thread(_fetch, url) == root
        first = opened(tmp_path, address)
    other = opened(tmp_path, "127.0.0.1:9")
    assert other.root.der == root
    assert other.leaf.der != first.leaf.der
    assert other.leaf.key.private_numbers() == first.leaf.key.private_numbers()
    signed = other.sign(transaction(1_700_000_000_000))
    judge = verifier(root, online=False)
    assert judge.verify_and_decode_signed_transaction(signed).bundleId == BUNDLE
    assert opened(tmp_path, "127.0.0.1:9").leaf.der == other.leaf.der


async def test_each_sandbox_file_has_its_own_root(tmp_path: Path) -> None:
    """What one signed, the other's root refuses."""
    folders = tmp_path / "a", tmp_path / "b"
    for folder in folders:
        folder.mkdir()
    one, other = (opened(folder, "127.0.0.1:9") for folder in folders)
    with pytest.raises(VerificationException):
        verifier(one.root.der, online=False).verify_and_decode_signed_transaction(
            other.sign(transaction(1_700_000_000_000))
        )


def _fetch(url: str) -> bytes:
    with urllib.request.urlopen(url) as response:  # noqa: S310
        body: bytes = response.read()
        return body


def _ask(address: str, body: bytes) -> ocsp.OCSPResponse:
    url = f"http://{address}/app-store/ocsp"
    with urllib.request.urlopen(url, data=body) as response:
        assert response.headers["Content-Type"] == "application/ocsp-response"
        return ocsp.load_der_ocsp_response(response.read())


async def test_ocsp_knows_its_own_and_no_others(tmp_path: Path) -> None:
    """Good for what was issued, unknown for another serial, refused for another issuer."""
    async with sandbox(tmp_path) as (address, _):
        made = opened(tmp_path, address)
        leaf, issuer = made.leaf.certificate, made.intermediate.certificate
        asked = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, SHA384())
        nonce = x509.OCSPNonce(b"0123456789abcdef")
        asked = asked.add_extension(nonce, critical=False)
        answer = await asyncio.to_thread(_ask, address, asked.build().public_bytes(Encoding.DER))
        assert answer.certificate_status is ocsp.OCSPCertStatus.GOOD
        assert answer.extensions.get_extension_for_class(x509.OCSPNonce).value == nonce
        for pair, expected in (
            ((made.root.certificate, made.root.certificate), ocsp.OCSPResponseStatus.SUCCESSFUL),
            ((leaf, leaf), ocsp.OCSPResponseStatus.UNAUTHORIZED),
        ):
            other = ocsp.OCSPRequestBuilder().add_certificate(*pair, SHA256()).build()
            answer = await asyncio.to_thread(_ask, address, other.public_bytes(Encoding.DER))
            assert answer.response_status is expected
            if expected is ocsp.OCSPResponseStatus.SUCCESSFUL:
                assert answer.certificate_status is ocsp.OCSPCertStatus.UNKNOWN
        answer = await asyncio.to_thread(_ask, address, b"nothing of the kind")
        assert answer.response_status is ocsp.OCSPResponseStatus.MALFORMED_REQUEST
