"""`boxoffice-sandbox app-store …`, and the sandbox as a process with an App Store in it."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from appstoreserverlibrary.receipt_utility import ReceiptUtility
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from boxoffice_sandbox.__main__ import main
from tests.sandbox.app_store.harness import TOKEN, AppStoreDesk, Service
from tests.support.processes import Process

Run = Callable[..., Awaitable[str]]


@pytest.fixture
def run(store: AppStoreDesk, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command of the App Store and returns what it prints."""

    async def command(*words: str) -> str:
        sandbox = ["--sandbox", f"http://{store.address}"]
        status = await asyncio.to_thread(main, ["app-store", *words, *sandbox])
        said = capsys.readouterr()
        assert (status, said.err) == (0, ""), said.err
        return said.out.rstrip("\n")

    return command


async def test_whole_life_from_a_shell(run: Run, store: AppStoreDesk) -> None:
    """Each prints the subscription and where it stands."""
    said = await run("buy", "--product", "essential_monthly", "--offer", "trial")
    bought, status = said.split()
    assert status == "active"
    for words, expected in (
        (("renew",), "active"),
        (("renew", "--early-seconds", "3600"), "active"),
        (("cancel",), "active"),
        (("enable",), "active"),
        (("price", "--price", "5990"), "active"),
        (("accept-price",), "active"),
        (("change", "--product", "premium_monthly", "--offer", "spring"), "active"),
        (("redeem", "--offer", "code"), "active"),
        (("extend", "--days", "3"), "active"),
        (("consumption", "--reason", "OTHER"), "active"),
        (("decline-refund",), "active"),
        (("refund", "--reason-code", "1", "--percentage", "50"), "revoked"),
        (("reverse",), "active"),
        (("fail", "--later"), "active"),
        (("mend",), "active"),
        (("fail", "--grace-days", "3"), "grace"),
        (("skip",), "retry"),
        (("recover",), "active"),
        (("price", "--no-consent"), "active"),
        (("price",), "active"),
        (("refuse-price",), "active"),
        (("skip",), "expired"),
        (("resubscribe", "--product", "premium_yearly"), "active"),
    ):
        name, *options = words
        assert await run(name, bought, *options) == f"{bought} {expected}", words
    member, status = (await run("share", bought)).split()
    assert (member != bought, status) == (True, "active")
    assert await run("revoke", member, "--reason-code", "1") == f"{member} revoked"
    assert await run("list") == (f"{member} revoked premium_yearly\n{bought} active premium_yearly")
    await run("advance", "400")
    assert (await store.told())[-1] == "DID_RENEW"


async def test_proof_is_printed_whole_or_in_part(run: Run) -> None:
    """For a shell that wants one of them."""
    bought = (await run("buy", "--product", "premium_monthly")).split()[0]
    whole = json.loads(await run("proof", bought))
    assert (
        whole["transaction_id"] == bought == await run("proof", bought, "--only", "transaction_id")
    )
    receipt = await run("proof", bought, "--only", "receipt")
    assert ReceiptUtility().extract_transaction_id_from_app_receipt(receipt) == bought
    assert (await run("proof", bought, "--only", "signed_transaction")).count(".") == 2


async def test_deliveries_from_a_shell(run: Run, store: AppStoreDesk, service: Service) -> None:
    """Held, released, doubled, lost, sent again, and of any type."""
    settings = json.loads(await run("settings", "--mode", "hold", "--retry-hours", "1", "2"))
    assert (settings["mode"], settings["retry_hours"]) == ("hold", [1.0, 2.0])
    bought = (
        await run("buy", "--product", "premium_monthly", "--app-account-token", TOKEN)
    ).split()[0]
    await run("cancel", bought, "--as", "SOMETHING/ELSE")
    listed = await run("notifications")
    newest, oldest = (line.split() for line in listed.splitlines())
    assert newest[1:] == ["SOMETHING/ELSE", bought, "held"]
    assert oldest[1:] == ["SUBSCRIBED/INITIAL_BUY", bought, "held"]
    assert await run("release", newest[0], oldest[0]) == "notifications 2 released"
    await service.until_count(2)
    assert store.read(service.payloads[0])[0].notificationUUID == newest[0]
    assert await run("release", "reverse") == "notifications 0 released"
    assert await run("release") == "notifications 0 released"
    await run("settings", "--mode", "normal")
    assert await run("redeliver", oldest[0]) == f"{oldest[0]} pending"
    assert (await run("test")).endswith(" signed")
    await run("notify", "PRICE_CHANGE", "--subscription", bought)
    await run("notify", "RENEWAL_EXTENSION/SUMMARY", "--json", '{"instead": {"summary": {}}}')
    await service.until_count(6)
    assert await run("retry") == "notifications tried again"


async def test_products_and_names_from_a_shell(run: Run) -> None:
    """What is sold can be changed, and what a service needs is told."""
    gone = '{"id": "premium_monthly", "for_sale": false}'
    assert await run("product", gone) == "premium_monthly not for sale"
    assert json.loads(await run("about"))["key_id"] == "BOXOFFICE1"
    assert await run("list") == "none"
    assert await run("notifications") == "none"


async def test_refusals_are_printed_with_their_reason(
    store: AppStoreDesk, capsys: pytest.CaptureFixture[str]
) -> None:
    """And end with 1; what isn't JSON is refused before anybody is asked."""
    sandbox = ["--sandbox", f"http://{store.address}"]
    assert await asyncio.to_thread(main, ["app-store", "cancel", "1", *sandbox]) == 1
    assert "No such subscription: 1" in capsys.readouterr().err
    words = ["app-store", "notify", "A", "--json", '{"type": "B"}', *sandbox]
    assert await asyncio.to_thread(main, words) == 1
    for text in ("{", "[]"):
        with pytest.raises(SystemExit):
            main(["app-store", "product", text])


def test_process_writes_what_a_service_is_set_up_with(tmp_path: Path) -> None:
    """Root and key, and the service is where the webhooks go."""
    root, key = tmp_path / "root.cer", tmp_path / "key.p8"
    command = [sys.executable, "-m", "boxoffice_sandbox", "serve", "--address", "127.0.0.1:0"]
    command += ["--database", str(tmp_path / "sandbox.db")]
    command += ["--webhook-url", "http://127.0.0.1:9/webhooks/stripe"]
    command += ["--app-store-root-file", str(root), "--app-store-key-file", str(key)]
    command += ["--app-store-environment", "Production"]
    with Process(command) as process:
        address = process.wait_for(r"^sandbox (\S+) READY$").group(1)
        assert x509.load_der_x509_certificate(root.read_bytes()).subject
        load_pem_private_key(key.read_bytes(), password=None)
        assert key.stat().st_mode & 0o077 == 0
        about = Process([*command[:3], "app-store", "about", "--sandbox", f"http://{address}"])
        with about:
            assert about.wait() == 0
            settings = json.loads(about.output)["settings"]
        assert settings["service_url"] == "http://127.0.0.1:9"
        assert settings["environment"] == "Production"
