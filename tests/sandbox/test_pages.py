"""The pages for people."""

from html.parser import HTMLParser

import pytest

from tests.sandbox.harness import Desk


class _Page(HTMLParser):
    """What a page loads from elsewhere, and what it has for people who can't see it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.tags: list[str] = []
        self.language = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        if tag == "html":
            self.language = given.get("lang") or ""
        for name in ("src", "href"):
            if given.get(name):
                self.loaded.append(str(given[name]))


async def test_desk_loads_nothing_from_elsewhere(desk: Desk) -> None:
    """One page with everything in it, a language and headings."""
    status, _, text = await desk.visit("/")
    page = _Page(text)
    assert (status, page.loaded, page.language) == (200, [], "en")
    assert page.tags.count("h1") == 1
    assert "noscript" in page.tags


async def test_desk_lists_payments_with_their_buttons(desk: Desk) -> None:
    """Newest first, with the buttons that fit, and the events with their delivery."""
    open_intent = await desk.new_payment(amount=123456)
    asked = await desk.new_payment(payment_method="pm_card_threeDSecure2Required", confirm=True)
    await desk.new_payment(payment_method="pm_card_visa", confirm=True)
    overview = await desk.control("overview", verb="GET")
    rows = [row for row in overview["payment_intents"] if desk.key.endswith(row["account"])]
    assert [row["actions"] for row in rows] == [
        ["refund", "dispute"],
        ["authenticate", "refuse"],
        ["pay", "decline"],
    ]
    assert [row["id"] for row in rows[1:]] == [asked.id, open_intent.id]
    assert rows[2]["amount"] == "€1,234.56 eur"
    assert overview["events"][0]["type"] == "payment_intent.succeeded"
    assert overview["events"][0]["delivery"] == "no address"


async def _shown(desk: Desk, kind: str) -> list[tuple[str, str, list[str]]]:
    """What the desk shows of this account: id, status and buttons, newest first."""
    overview = await desk.control("overview", verb="GET")
    return [
        (row["id"], row["status"], row["actions"])
        for row in overview[kind]
        if desk.key.endswith(row["account"])
    ]


async def test_desk_lists_what_comes_after_a_payment(desk: Desk) -> None:
    """Refunds and disputes have the buttons of their banks, and each button does its work."""
    paid = await desk.new_payment(payment_method="pm_card_pendingRefund", confirm=True)
    refund = (await desk.control(f"payment_intents/{paid.id}/refund", {"amount": 1}))["id"]
    dispute = (await desk.control(f"payment_intents/{paid.id}/dispute", {"inquiry": True}))["id"]
    assert await _shown(desk, "payment_intents") == [(paid.id, "succeeded", [])]
    for status, actions in (("pending", ["succeed", "fail"]), ("succeeded", ["fail"])):
        assert await _shown(desk, "refunds") == [(refund, status, actions)]
        await desk.control(f"refunds/{refund}/{actions[0]}")
    assert await _shown(desk, "refunds") == [(refund, "failed", [])]
    for status, actions in (
        ("warning_needs_response", ["review", "escalate", "close"]),
        ("warning_under_review", ["escalate", "close"]),
        ("needs_response", ["review", "win", "lose"]),
        ("under_review", ["win", "lose"]),
    ):
        assert await _shown(desk, "disputes") == [(dispute, status, actions)]
        await desk.control(f"disputes/{dispute}/{actions[0]}")
    assert await _shown(desk, "disputes") == [(dispute, "won", [])]


async def test_desk_lists_setups_and_saved_cards(desk: Desk) -> None:
    """A setup is finished by its button, and what it saved can be renewed."""
    setup = await desk.stripe.v1.setup_intents.create_async(
        {"customer": await desk.new_customer(), "payment_method_types": ["card"]}
    )
    open_setup = (setup.id, "requires_payment_method", ["setup", "decline"])
    assert await _shown(desk, "setup_intents") == [open_setup]
    done = await desk.control(f"setup_intents/{setup.id}/setup")
    assert await _shown(desk, "setup_intents") == [(setup.id, "succeeded", [])]
    method = done["object"]["payment_method"]
    assert await _shown(desk, "payment_methods") == [(method, "saved", ["update"])]


async def test_desk_lists_sources_and_their_charges(legacy_desk: Desk) -> None:
    """A Source waits for its customer; its charge, for its bank."""
    source = await legacy_desk.stripe.v1.sources.create_async(
        {
            "type": "ideal",
            "amount": 1000,
            "currency": "eur",
            "redirect": {"return_url": "https://shop.example/"},
        }
    )
    waiting = (source.id, "pending", ["authenticate", "refuse", "process"])
    assert await _shown(legacy_desk, "sources") == [waiting]
    await legacy_desk.control(f"sources/{source.id}/process")
    charge = await legacy_desk.stripe.v1.charges.create_async(
        {"amount": 1000, "currency": "eur", "source": source.id}
    )
    assert await _shown(legacy_desk, "charges") == [(charge.id, "pending", ["succeed", "fail"])]
    await legacy_desk.control(f"charges/{charge.id}/succeed")
    assert await _shown(legacy_desk, "charges") == [(charge.id, "succeeded", ["refund"])]


@pytest.mark.parametrize("path", ["/redirect/pi_nothing", "/redirect/pi_nothing/succeed"])
async def test_bank_page_of_nothing_is_404(desk: Desk, path: str) -> None:
    """A page for an object that isn't there."""
    status, _, _ = await desk.visit(path, post=path.endswith("succeed"))
    assert status == 404


async def test_bank_page_works_once(desk: Desk) -> None:
    """After the decision the buttons are off, and pressing again is refused."""
    intent = await desk.new_payment(payment_method="pm_card_threeDSecure2Required", confirm=True)
    _, _, text = await desk.visit(f"/redirect/{intent.id}")
    assert "disabled>" not in text
    status, location, _ = await desk.visit(f"/redirect/{intent.id}/succeed", post=True)
    assert (status, location) == (303, "/")
    _, _, text = await desk.visit(f"/redirect/{intent.id}")
    assert text.count("disabled>") == 2
    status, _, _ = await desk.visit(f"/redirect/{intent.id}/succeed", post=True)
    assert status == 400
