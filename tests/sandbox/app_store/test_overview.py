"""What the desk shows of the App Store, and that each of its buttons works."""

import pytest

from tests.sandbox.app_store.harness import TOKEN, AppStoreDesk, Service


async def test_desk_lists_subscriptions_and_notifications(
    store: AppStoreDesk, service: Service
) -> None:
    """With what is to come, in words, and how delivery went."""
    bought = await store.buy("essential_monthly", offer="trial", app_account_token=TOKEN)
    await store.act(bought, "change", product="premium_monthly")
    await store.act(bought, "change", product="essential_monthly")
    await store.act(bought, "price")
    await store.act(bought, "cancel")
    await service.until_count(5)
    member = (await store.act(bought, "share"))["id"]
    shown = await store.control("overview", verb="GET")
    rows = {row["id"]: row for row in shown["subscriptions"]}
    assert rows[bought]["types"] == "premium_monthly → essential_monthly"
    assert rows[bought]["amount"] == "9.99 eur"
    assert rows[bought]["description"] == TOKEN
    assert rows[bought]["error"] == (
        "ends 2027-02-15 08:00, auto-renew is off, a higher price is not answered"
    )
    assert rows[member]["error"].endswith(f"shared by {bought}")
    assert rows[member]["actions"] == ["revoke"]
    told = shown["notifications"]
    assert told[1]["type"] == "DID_CHANGE_RENEWAL_STATUS/AUTO_RENEW_DISABLED"
    assert told[1]["object"] == bought
    assert {row["delivery"] for row in told} <= {"delivered, success", "pending"}


async def test_desk_offers_what_is_for_sale(quiet: AppStoreDesk) -> None:
    """Each product plainly, and with each of its offers."""
    await quiet.control("app-store/products", {"id": "premium_yearly", "for_sale": False})
    shown = await quiet.control("overview", verb="GET")
    labels = [choice["label"] for choice in shown["for_sale"]]
    assert labels == [
        "premium_monthly",
        "premium_monthly with spring",
        "premium_monthly with code",
        "premium_monthly with win_back",
        "essential_monthly",
        "essential_monthly with trial",
        "essential_monthly with spring",
        "essential_monthly with code",
        "essential_monthly with win_back",
    ]


BEFORE: dict[str, list[tuple[str, dict[str, object]]]] = {
    "new": [],
    "cancelled": [("cancel", {})],
    "asked": [("price", {})],
    "asked and cancelled": [("price", {}), ("cancel", {})],
    "failing": [("fail", {"later": True})],
    "grace": [("fail", {"grace_days": 3})],
    "retry": [("fail", {})],
    "expired": [("cancel", {}), ("skip", {})],
    "refunded": [("refund", {})],
}


@pytest.mark.parametrize("state", BEFORE)
async def test_each_button_of_the_desk_works(state: str, quiet: AppStoreDesk) -> None:
    """None is shown that would be refused."""

    async def make() -> tuple[str, list[str]]:
        bought = await quiet.buy()
        for action, given in BEFORE[state]:
            await quiet.act(bought, action, **given)
        shown = await quiet.control("overview", verb="GET")
        (row,) = [row for row in shown["subscriptions"] if row["id"] == bought]
        return bought, row["actions"]

    _, actions = await make()
    assert actions
    for action in actions:
        bought, _ = await make()
        name, _, choice = action.partition(":")
        given: dict[str, dict[str, object]] = {
            "fail": {"grace_days": 16 if choice else 0},
            "change": {"product": choice},
        }
        assert (await quiet.act(bought, name, **given.get(name, {})))["id"]
