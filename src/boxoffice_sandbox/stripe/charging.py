"""Makes Charges: what an attempt to take money leaves behind, whatever came of it."""

import copy
from typing import Any

from boxoffice_sandbox.scope import Scope
from boxoffice_sandbox.stripe import balance
from boxoffice_sandbox.stripe.cards import Card, Decline

Json = dict[str, Any]

_CARD_HOLD_SECONDS = 7 * 24 * 3600
_APPROVED: Json = {
    "advice_code": None,
    "network_advice_code": None,
    "network_decline_code": None,
    "network_status": "approved_by_network",
    "reason": None,
    "risk_level": "normal",
    "risk_score": 42,
    "seller_message": "Payment complete.",
    "type": "authorized",
}
_BANK: Json = {"bank_code": "VAPE", "bank_name": "VAN DE PUT & CO", "bic": "VAPEBE22"}


_UNTOUCHED: Json = {
    "amount_captured": 0,
    "amount_refunded": 0,
    "application": None,
    "application_fee": None,
    "application_fee_amount": None,
    "balance_transaction": None,
    "calculated_statement_descriptor": "BOXOFFICE SANDBOX",
    "captured": False,
    "customer": None,
    "description": None,
    "disputed": False,
    "failure_balance_transaction": None,
    "failure_code": None,
    "failure_message": None,
    "fraud_details": {},
    "livemode": False,
    "metadata": {},
    "on_behalf_of": None,
    "outcome": None,
    "paid": False,
    "payment_intent": None,
    "payment_method": None,
    "payment_method_details": None,
    "radar_options": {},
    "receipt_email": None,
    "receipt_number": None,
    "receipt_url": None,
    "refunded": False,
    "review": None,
    "shipping": None,
    "source_transfer": None,
    "statement_descriptor": None,
    "statement_descriptor_suffix": None,
    "status": "pending",
    "transfer_data": None,
    "transfer_group": None,
}


def new_charge(scope: Scope, **fields: object) -> Json:
    """Return an unsaved charge that `fields` complete: not yet paid, nothing captured."""
    charge = {
        "id": scope.new_id("ch_3" if fields.get("payment_intent") else "ch_1"),
        "object": "charge",
        "created": scope.now,
    }
    return charge | copy.deepcopy(_UNTOUCHED) | fields


def card_details(card: Card, charge: Json, *, dates: tuple[int, int], authenticated: bool) -> Json:
    """Return the `payment_method_details` of a card charge."""
    unavailable = {"status": "unavailable"}
    members = {
        "amount_authorized": charge["amount"],
        "authorization_code": "123456",
        "brand": card.brand,
        "checks": {
            "address_line1_check": None,
            "address_postal_code_check": None,
            "cvc_check": "pass",
        },
        "country": card.country,
        "exp_month": dates[0],
        "exp_year": dates[1],
        "extended_authorization": {"status": "disabled"},
        "fingerprint": card.fingerprint,
        "funding": card.funding,
        "incremental_authorization": unavailable,
        "installments": None,
        "last4": card.last4,
        "mandate": None,
        "multicapture": unavailable,
        "network": card.brand,
        "network_token": {"used": False},
        "network_transaction_id": charge["id"][-15:],
        "overcapture": {"maximum_amount_capturable": charge["amount"], **unavailable},
        "regulated_status": "unregulated",
        "three_d_secure": _THREE_D_SECURE if authenticated else None,
        "wallet": None,
    }
    return {"card": members, "type": "card"}


_THREE_D_SECURE: Json = {
    "authentication_flow": "challenge",
    "electronic_commerce_indicator": "05",
    "exemption_indicator": None,
    "result": "authenticated",
    "result_reason": None,
    "transaction_id": "5bb4f7ba-2f9e-4c3f-9a4c-3c0c1ad3f6a1",
    "version": "2.2.0",
}


def redirect_details(method: Json, *, sepa_debit: str | None = None) -> Json:
    """Return the `payment_method_details` of a bancontact, iDEAL or giropay charge."""
    name = (method.get("billing_details") or {}).get("name")
    reuse = {
        "generated_sepa_debit": sepa_debit,
        "generated_sepa_debit_mandate": None,
        "iban_last4": "3000",
    }
    match method["type"]:
        case "bancontact":
            members = {**_BANK, **reuse, "preferred_language": None, "verified_name": name}
        case "ideal":
            bank = method["ideal"].get("bank") or "ing"
            bic = method["ideal"].get("bic") or "INGBNL2A"
            members = {"bank": bank, "bic": bic, **reuse, "verified_name": name}
        case _:
            members = {**_BANK, "verified_name": name}
    return {method["type"]: members, "type": method["type"]}


def succeed(scope: Scope, charge: Json, *, capture: bool) -> Json:
    """Make a charge succeed: captured at once, or held for a later capture."""
    charge["status"] = "succeeded"
    charge["paid"] = True
    charge["captured"] = capture
    charge["amount_captured"] = charge["amount"] if capture else 0
    charge["outcome"] = dict(_APPROVED)
    charge["receipt_url"] = f"https://pay.stripe.com/receipts/{charge['id']}"
    if not capture:
        charge["payment_method_details"]["card"]["capture_before"] = scope.now + _CARD_HOLD_SECONDS
    scope.save(charge)
    scope.emit("charge.succeeded", charge)
    if capture:
        settle(scope, charge)
    return charge


def settle(scope: Scope, charge: Json) -> None:
    """Book a captured charge; Stripe fills `balance_transaction` after the fact and says so."""
    charge["balance_transaction"] = balance.record(
        scope, kind="charge", source=charge, amount=charge["amount_captured"]
    )
    scope.save(charge)
    scope.emit("charge.updated", charge, {"balance_transaction": None})


def fail(scope: Scope, charge: Json, decline: Decline) -> Json:
    """Make a charge fail."""
    reason = decline.reason or decline.decline_code
    sent = not decline.blocked
    charge["status"] = "failed"
    charge["failure_code"] = decline.code
    charge["failure_message"] = decline.message
    charge["outcome"] = {
        **_APPROVED,
        "advice_code": "try_again_later" if sent else None,
        "network_decline_code": "01" if sent else None,
        "network_status": "declined_by_network" if sent else "not_sent_to_network",
        "reason": reason,
        "risk_level": "normal" if sent else "highest",
        "risk_score": 42 if sent else 91,
        "seller_message": f"The bank returned the decline code `{decline.decline_code}`."
        if sent
        else "Stripe blocked this payment as too risky.",
        "type": "issuer_declined" if sent else "blocked",
    }
    scope.save(charge)
    scope.emit("charge.failed", charge)
    return charge


def capture(scope: Scope, charge: Json, amount: int) -> Json:
    """Capture a held charge; the rest is let go, which since 2025-03-31.basil is no refund."""
    charge["captured"] = True
    charge["amount_captured"] = amount
    scope.save(charge)
    scope.emit("charge.captured", charge)
    settle(scope, charge)
    return charge


def expire(scope: Scope, charge: Json) -> None:
    """Tell that a held charge can't be captured any more."""
    scope.hide(charge["id"], expired=True)
    scope.emit("charge.expired", charge)
