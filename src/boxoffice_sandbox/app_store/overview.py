"""What the desk shows of the App Store: subscriptions with their buttons, offers, notifications."""

import datetime as dt
from typing import Any

from boxoffice_sandbox.app_store.actions import possible
from boxoffice_sandbox.app_store.catalogue import Product
from boxoffice_sandbox.app_store.control_notifications import newest_notifications
from boxoffice_sandbox.app_store.records import Records
from boxoffice_sandbox.app_store.subscription import Consent, Phase, Subscription

Json = dict[str, Any]

_SHOWN, _NOTIFICATIONS = 50, 30
_GRACE_DAYS = 16
_MOST_CHANGES = 4
_RUNNING = (Phase.ACTIVE, Phase.GRACE)


def overview(records: Records) -> Json:
    """Return everything the desk shows of it, newest first."""
    products = records.products()
    return {
        "subscriptions": [_row(found, products) for found in records.newest(_SHOWN)],
        "for_sale": [choice for product in products.values() for choice in _choices(product)],
        "notifications": [
            _told(told) for told in newest_notifications(records.store, _NOTIFICATIONS)
        ],
    }


def _row(found: Subscription, products: dict[str, Product]) -> Json:
    fields = found.current.fields
    return {
        "id": found.id,
        "account": found.environment,
        "amount": f"{fields['price'] / 1000:.2f} {fields['currency'].lower()}",
        "types": _what(found),
        "status": str(found.phase),
        "error": _notes(found),
        "description": found.app_account_token or "",
        "created": found.transactions[0].fields["purchaseDate"] // 1000,
        "actions": [
            action for name in possible(found) for action in _buttons(name, found, products)
        ],
    }


def _what(found: Subscription) -> str:
    fields = found.current.fields
    offer = fields.get("offerIdentifier") or fields.get("offerDiscountType", "")
    with_offer = f" ({offer.lower().replace('_', ' ')})" if offer else ""
    following = "" if found.next_product == found.product else f" → {found.next_product}"
    return f"{found.product}{with_offer}{following}"


def _notes(found: Subscription) -> str:
    """Return what is to come, in words."""
    notes = []
    if found.phase is Phase.ACTIVE:
        will = "renews" if found.auto_renew and not found.fails else "ends"
        notes.append(f"{will} {_date(found.renewal_at)}")
    if found.phase is Phase.ACTIVE and found.fails:
        notes.append("the renewal will fail")
    if found.phase is Phase.GRACE and found.grace_until is not None:
        notes.append(f"until {_date(found.grace_until)}")
    if found.phase in _RUNNING and not found.auto_renew:
        notes.append("auto-renew is off")
    if found.phase is Phase.ACTIVE and found.consent is Consent.PENDING:
        notes.append("a higher price is not answered")
    if found.is_family_shared:
        notes.append(f"shared by {found.family_of}")
    return ", ".join(notes)


def _date(moment: int) -> str:
    return dt.datetime.fromtimestamp(moment / 1000, dt.UTC).strftime("%Y-%m-%d %H:%M")


def _buttons(name: str, found: Subscription, products: dict[str, Product]) -> list[str]:
    """Return a button's name, or one for each choice that it leaves, after a colon."""
    match name:
        case "fail":
            return ["fail", f"fail:{_GRACE_DAYS}"]
        case "change":
            group = products[found.product].group
            others = [
                product.id
                for product in products.values()
                if product.group == group and product.for_sale and product.id != found.next_product
            ]
            return [f"change:{product}" for product in others[:_MOST_CHANGES]]
    return [name]


def _choices(product: Product) -> list[Json]:
    """Return what the form offers: a product, and it with each of its offers."""
    if not product.for_sale:
        return []
    plain = {"id": product.id, "product": product.id, "label": product.id}
    offers = [
        {
            "id": f"{product.id}:{offer.id}",
            "product": product.id,
            "offer": offer.id,
            "label": f"{product.id} with {offer.id}",
        }
        for offer in product.offers
    ]
    return [plain, *offers]


def _told(told: Json) -> Json:
    states = []
    for delivery in told["deliveries"]:
        last = delivery["sends"][-1]["sendAttemptResult"].lower() if delivery["sends"] else ""
        states.append(delivery["state"] + (f", {last.replace('_', ' ')}" if last else ""))
    return {
        "id": told["uuid"],
        "type": "/".join(part for part in (told["type"], told["subtype"]) if part),
        "object": told["subscription"] or "",
        "created": told["signed_at"] // 1000,
        "delivery": "; ".join(states) or "no address",
    }
