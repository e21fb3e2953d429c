"""`boxoffice-sandbox app-store …`: what customers, families, banks and Apple do, from a shell."""

import argparse
import json
from dataclasses import dataclass
from typing import Any

from boxoffice_sandbox.calling import RefusedError, command, control

Json = dict[str, Any]

_PATH = "app-store"
_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class _Act:
    """One command about one subscription."""

    help: str
    options: tuple[str, ...] = ()


_ACTS = {
    "renew": _Act(help="let time pass until it renews", options=("early-seconds",)),
    "fail": _Act(
        help="let the renewal fail when it comes, and time pass until then",
        options=("grace-days", "later"),
    ),
    "mend": _Act(help="let a renewal that was to fail work after all"),
    "skip": _Act(help="let time pass until its next date: the end of a period, of grace, …"),
    "recover": _Act(help="collect after all, in grace or retry"),
    "cancel": _Act(help="turn automatic renewal off"),
    "enable": _Act(help="turn automatic renewal on again"),
    "resubscribe": _Act(help="come back after the end", options=("product", "offer")),
    "change": _Act(help="choose another product of the group", options=("product", "offer")),
    "redeem": _Act(
        help="redeem an offer, for the next period or at once", options=("offer", "at-once")
    ),
    "refund": _Act(
        help="give the money back, by default of the current period",
        options=("transaction", "reason-code", "percentage"),
    ),
    "reverse": _Act(help="take a refund back", options=("transaction",)),
    "decline-refund": _Act(help="refuse a refund"),
    "consumption": _Act(help="ask how much was used", options=("reason",)),
    "price": _Act(help="raise the price", options=("price", "no-consent")),
    "accept-price": _Act(help="consent to a higher price"),
    "refuse-price": _Act(help="cancel because of a higher price"),
    "extend": _Act(help="move the end of the current period", options=("days",)),
    "share": _Act(help="let a family member use it"),
    "revoke": _Act(help="end a family member's use", options=("reason-code",)),
}
_OPTIONS: dict[str, Json] = {
    "app-account-token": {"metavar": "UUID", "help": "what links the purchase to a user"},
    "as": {"metavar": "TYPE[/SUBTYPE]", "help": "what the notification is to be instead"},
    "at-once": {"action": "store_true"},
    "days": {"type": int, "metavar": "N"},
    "delay-seconds": {"type": float, "metavar": "N", "help": "send this much later"},
    "early-renewal-seconds": {"type": int, "metavar": "N", "help": "renew this long before"},
    "early-seconds": {"type": int, "metavar": "N", "help": "renew this long before the end"},
    "environment": {"choices": ("Sandbox", "Production")},
    "grace-days": {"type": int, "metavar": "N", "help": "none unless told otherwise"},
    "later": {"action": "store_true", "help": "only mark it: the clock stays"},
    "mode": {"choices": ("normal", "hold", "lose", "duplicate")},
    "no-consent": {"action": "store_true", "help": "an increase that needs no consent"},
    "offer": {"metavar": "NAME", "help": "one of the product's, such as trial or spring"},
    "percentage": {"type": int, "metavar": "N", "help": "less than 100 for a part"},
    "price": {"type": int, "metavar": "N", "help": "in thousandths of the currency"},
    "product": {"metavar": "ID", "help": "such as premium_monthly"},
    "reason": {"metavar": "REASON", "help": "one of Apple's"},
    "reason-code": {"type": int, "choices": (0, 1), "help": "1 for a problem with the app"},
    "retry-hours": {"type": float, "nargs": "*", "metavar": "N", "help": "pauses before retries"},
    "service-key": {"metavar": "KEY"},
    "service-url": {"metavar": "URL"},
    "transaction": {"metavar": "ID", "help": "an older period"},
}
_SETTINGS = (
    "environment",
    "mode",
    "delay-seconds",
    "retry-hours",
    "early-renewal-seconds",
    "service-url",
    "service-key",
)


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `app-store` with everything below it."""
    top = commands.add_parser("app-store", help="what customers and Apple do in the App Store")
    below = top.add_subparsers(dest="app_store", required=True)
    buy = command(below, "buy", "subscribe for the first time", _buy)
    buy.add_argument("--product", required=True, metavar="ID", help="such as premium_monthly")
    _add_options(buy, ("app-account-token", "offer", "environment", "as"))
    for name, act in _ACTS.items():
        parser = command(below, name, act.help, _act)
        parser.add_argument("id", metavar="ID", help="any transaction's id of the subscription")
        _add_options(parser, (*act.options, "as"))
    advance = command(below, "advance", "move the sandbox's clock forward", _advance)
    advance.add_argument("days", type=float, metavar="DAYS")
    _add_questions(below)
    _add_notifications(below)


def _add_questions(below: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command(below, "about", "show what a service is set up with", _about, show=_indented)
    command(below, "list", "list the subscriptions, newest first", _list, show=_subscriptions)
    proof = command(below, "proof", "show what an app has of its purchase", _proof, show=_said)
    proof.add_argument("id", metavar="ID")
    proof.add_argument(
        "--only",
        choices=("transaction_id", "signed_transaction", "receipt"),
        help="print this alone",
    )
    product = command(below, "product", "sell something more, or change it", _product, show=_said)
    product.add_argument("json", type=_object, metavar="JSON", help='such as {"id": …}')
    settings = command(below, "settings", "change how the App Store behaves", _settings)
    _add_options(settings, _SETTINGS)
    settings.set_defaults(show=_indented)


def _add_notifications(below: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command(
        below, "notifications", "list them with their deliveries", _notifications, show=_deliveries
    )
    command(below, "test", "send Apple's test notification", _post("test"))
    command(below, "retry", "try everything that is pending again", _post("retry"))
    release = command(below, "release", "send what is held", _release)
    release.add_argument(
        "order", nargs="*", metavar="UUID", help="fifo, reverse, or UUIDs in their order"
    )
    redeliver = command(below, "redeliver", "send a notification again", _redeliver)
    redeliver.add_argument("uuid", metavar="UUID")
    notify = command(below, "notify", "send a notification of any type", _notify)
    notify.add_argument("type", metavar="TYPE[/SUBTYPE]")
    notify.add_argument("--subscription", metavar="ID")
    notify.add_argument(
        "--json", type=_object, default={}, metavar="JSON", help="more members of the control call"
    )


def _add_options(parser: argparse.ArgumentParser, names: tuple[str, ...]) -> None:
    for name in names:
        parser.add_argument(f"--{name}", **_OPTIONS[name])


def _object(text: str) -> Json:
    try:
        read = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not isinstance(read, dict):
        raise argparse.ArgumentTypeError("not a JSON object")
    return read


def _given(parsed: argparse.Namespace, names: tuple[str, ...]) -> Json:
    """Return the options that were used, as the control calls name them."""
    members = {name: getattr(parsed, name.replace("-", "_")) for name in names}
    used = {name: it for name, it in members.items() if it is not None and it is not False}
    if used.pop("no-consent", False):
        used["consent"] = False
    if "reason-code" in used:
        used["reason"] = used.pop("reason-code")
    return {name.replace("-", "_"): it for name, it in used.items()}


def _buy(parsed: argparse.Namespace) -> Json:
    names = ("product", "app-account-token", "offer", "environment", "as")
    return control(parsed, f"{_PATH}/subscriptions", _given(parsed, names))


def _act(parsed: argparse.Namespace) -> Json:
    given = _given(parsed, (*_ACTS[parsed.app_store].options, "as"))
    action = parsed.app_store.replace("-", "_")
    return control(parsed, f"{_PATH}/subscriptions/{parsed.id}/{action}", given)


def _advance(parsed: argparse.Namespace) -> Json:
    seconds = round(parsed.days * _DAY_SECONDS)
    answer = control(parsed, "clock", {"advance_seconds": seconds})
    warning = f" {answer['warning']}" if "warning" in answer else ""
    return {"id": "clock", "status": f"{answer['now']}{warning}"}


def _about(parsed: argparse.Namespace) -> Json:
    return control(parsed, _PATH, None)


def _list(parsed: argparse.Namespace) -> Json:
    return control(parsed, f"{_PATH}/subscriptions", None)


def _proof(parsed: argparse.Namespace) -> Json:
    answer = control(parsed, f"{_PATH}/subscriptions/{parsed.id}/proof", None)
    return {"said": _indented(answer) if parsed.only is None else answer[parsed.only]}


def _product(parsed: argparse.Namespace) -> Json:
    answer = control(parsed, f"{_PATH}/products", parsed.json)
    return {"said": f"{answer['id']} {'for sale' if answer['for_sale'] else 'not for sale'}"}


def _settings(parsed: argparse.Namespace) -> Json:
    return control(parsed, f"{_PATH}/settings", _given(parsed, _SETTINGS))


def _notifications(parsed: argparse.Namespace) -> Json:
    return control(parsed, f"{_PATH}/notifications", None)


def _post(name: str) -> Any:  # noqa: ANN401  (what runs a command)
    return lambda parsed: control(parsed, f"{_PATH}/notifications/{name}", {})


def _release(parsed: argparse.Namespace) -> Json:
    order = parsed.order
    named = order[0] if order and order[0] in ("fifo", "reverse") else order or "fifo"
    return control(parsed, f"{_PATH}/notifications/release", {"order": named})


def _redeliver(parsed: argparse.Namespace) -> Json:
    return control(parsed, f"{_PATH}/notifications/{parsed.uuid}/redeliver", {})


def _notify(parsed: argparse.Namespace) -> Json:
    kind, _, subtype = parsed.type.partition("/")
    members: Json = {"type": kind}
    if subtype:
        members["subtype"] = subtype
    if parsed.subscription is not None:
        members["subscription"] = parsed.subscription
    if members.keys() & parsed.json.keys():
        raise RefusedError("--json repeats what was said before.")
    return control(parsed, f"{_PATH}/notifications", members | parsed.json)


def _said(answer: Json) -> str:
    return str(answer["said"])


def _indented(answer: Json) -> str:
    return json.dumps(answer, indent=2)


def _subscriptions(answer: Json) -> str:
    lines = [f"{it['id']} {it['status']} {it['product']}" for it in answer["subscriptions"]]
    return "\n".join(lines) or "none"


def _deliveries(answer: Json) -> str:
    lines = []
    for it in answer["notifications"]:
        name = "/".join(part for part in (it["type"], it["subtype"]) if part)
        states = ", ".join(delivery["state"] for delivery in it["deliveries"]) or "not sent"
        lines.append(f"{it['uuid']} {name} {it['subscription'] or '-'} {states}")
    return "\n".join(lines) or "none"
