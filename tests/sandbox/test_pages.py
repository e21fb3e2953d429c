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
        [],
        ["authenticate", "refuse"],
        ["pay", "decline"],
    ]
    assert [row["id"] for row in rows[1:]] == [asked.id, open_intent.id]
    assert rows[2]["amount"] == "€1,234.56 eur"
    assert overview["events"][0]["type"] == "payment_intent.succeeded"
    assert overview["events"][0]["delivery"] == "no address"


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
