"""The commands that press the sandbox's buttons over HTTP: each prints an id and its status."""

import argparse
import http.client
import sys
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from boxoffice_sandbox.app_store import commands as app_store
from boxoffice_sandbox.calling import RefusedError, command, control, send
from boxoffice_sandbox.stripe.cards import CARDS, card_named

Json = dict[str, Any]

_KINDS = {
    "ch": "charges",
    "du": "disputes",
    "pi": "payment_intents",
    "pm": "payment_methods",
    "re": "refunds",
    "seti": "setup_intents",
    "src": "sources",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Button:
    """One command about one object: what it takes, and the control call it makes."""

    help: str
    takes: tuple[str, ...]
    """The prefixes of the ids it takes."""
    action: str | None = None
    """The control call's name, where it isn't the command's."""
    options: tuple[str, ...] = ()


_BUTTONS = {
    "pay": _Button(
        help="confirm as the customer would, and succeed", takes=("pi",), options=("card",)
    ),
    "decline": _Button(
        help="confirm as the customer would, and be declined", takes=("pi",), options=("card",)
    ),
    "authenticate": _Button(
        help="complete a pending authentication or redirect", takes=("pi", "seti", "src")
    ),
    "refuse": _Button(
        help="fail a pending authentication or redirect", takes=("pi", "seti", "src")
    ),
    "setup": _Button(
        help="save a method as the customer would", takes=("seti",), options=("card", "decline")
    ),
    "refund": _Button(
        help="refund in the dashboard", takes=("pi", "ch"), options=("amount", "reason")
    ),
    "settle-refund": _Button(help="let a pending refund succeed", takes=("re",), action="succeed"),
    "fail-refund": _Button(help="let a refund fail after all", takes=("re",), action="fail"),
    "dispute": _Button(
        help="let the cardholder's bank dispute a payment",
        takes=("pi", "ch"),
        options=("amount", "reason", "inquiry"),
    ),
    "dispute-review": _Button(
        help="let the bank look at the evidence", takes=("du",), action="review"
    ),
    "dispute-win": _Button(help="close a dispute as won", takes=("du",), action="win"),
    "dispute-lose": _Button(help="close a dispute as lost", takes=("du",), action="lose"),
    "dispute-escalate": _Button(help="make an inquiry a dispute", takes=("du",), action="escalate"),
    "dispute-close": _Button(
        help="end an inquiry without a dispute", takes=("du",), action="close"
    ),
    "renew-card": _Button(
        help="give a saved card its successor's expiry",
        takes=("pm",),
        action="update",
        options=("exp-month", "exp-year"),
    ),
}
_OPTIONS: dict[str, Json] = {
    "amount": {"type": int, "metavar": "N", "help": "in the smallest unit; all of it otherwise"},
    "card": {"choices": tuple(CARDS), "metavar": "NAME", "help": "a test card, such as visa"},
    "decline": {"action": "store_true", "help": "be declined instead"},
    "exp-month": {"type": int, "metavar": "MONTH"},
    "exp-year": {"type": int, "metavar": "YEAR"},
    "inquiry": {"action": "store_true", "help": "only ask, and take no money back yet"},
    "reason": {"metavar": "REASON", "help": "one of Stripe's"},
}


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add all commands; each leaves in `run` what does it."""
    for name, button in _BUTTONS.items():
        parser = command(commands, name, button.help, _press)
        parser.add_argument("id", metavar="ID", help=_wanted(button))
        for option in button.options:
            parser.add_argument(f"--{option}", **_OPTIONS[option])
    _add_source(commands)
    clock = command(commands, "advance", "move the sandbox's clock forward", _advance)
    clock.add_argument("seconds", type=int, metavar="SECONDS")
    app_store.add_commands(commands)


def _add_source(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    source = commands.add_parser("source", help="what a customer's device does with Sources")
    create = command(
        source.add_subparsers(dest="source", required=True),
        "create",
        "make a Source as a customer's device would, and authorise it",
        _create_source,
    )
    create.add_argument("--amount", type=int, required=True, help="in the smallest unit")
    create.add_argument("--currency", default="eur")
    create.add_argument("--user", required=True, help="the id of the user")
    create.add_argument("--order", required=True, help="the id of the order")
    create.add_argument("--type", default="card", help="card, bancontact, giropay or ideal")
    create.add_argument("--card", default="visa", **_OPTIONS["card"])
    create.add_argument(
        "--key", default="pk_test_boxoffice_default", help="the publishable key of the account"
    )


def run(parsed: argparse.Namespace) -> int:
    """Do one command; returns the exit status."""
    try:
        answer = parsed.run(parsed)
    except RefusedError as error:
        sys.stderr.write(f"boxoffice-sandbox: {error}\n")
        return 1
    except (OSError, ValueError, http.client.HTTPException) as error:
        sys.stderr.write(f"boxoffice-sandbox: no sandbox at {parsed.sandbox}: {error}\n")
        return 1
    sys.stdout.write(f"{parsed.show(answer)}\n")
    return 0


def _press(parsed: argparse.Namespace) -> Json:
    button = _BUTTONS[parsed.command]
    prefix = parsed.id.partition("_")[0]
    if prefix not in button.takes:
        message = f"{parsed.id} is not {_wanted(button)}"
        raise RefusedError(message)
    names = [option.replace("-", "_") for option in button.options]
    given = {name: getattr(parsed, name) for name in names}
    body = {
        name: value for name, value in given.items() if value is not None and value is not False
    }
    action = button.action or parsed.command
    if body.pop("decline", False):
        action = "decline"
    return control(parsed, f"{_KINDS[prefix]}/{parsed.id}/{action}", body)


def _wanted(button: _Button) -> str:
    return " or ".join(f"{prefix}_..." for prefix in button.takes)


def _advance(parsed: argparse.Namespace) -> Json:
    answer = control(parsed, "clock", {"advance_seconds": parsed.seconds})
    return {"id": "clock", "status": answer["now"]}


def _create_source(parsed: argparse.Namespace) -> Json:
    form = {
        "type": parsed.type,
        "amount": parsed.amount,
        "currency": parsed.currency,
        "metadata[boxoffice_order_id]": parsed.order,
        "metadata[boxoffice_user_id]": parsed.user,
        **_how_it_pays(parsed),
    }
    headers = {
        "Authorization": f"Bearer {parsed.key}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    source = send(f"{parsed.sandbox}/stripe/v1/sources", urlencode(form).encode(), headers)
    if source["status"] != "pending":
        return source
    return control(parsed, f"sources/{source['id']}/authenticate", {})


def _how_it_pays(parsed: argparse.Namespace) -> Json:
    if parsed.type != "card":
        return {"redirect[return_url]": f"{parsed.sandbox}/"}
    card = card_named(f"tok_{parsed.card}")
    if card is None:
        raise LookupError(parsed.card)
    return {"card[number]": card.number, "card[exp_month]": 12, "card[exp_year]": 2040}
