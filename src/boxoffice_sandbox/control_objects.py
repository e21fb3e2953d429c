"""The buttons of single objects, over HTTP: what customers and banks do, on demand.

POST /control/payment_intents/{id}/pay|decline          {"card"}: visa, authenticationRequired, ...
                                  authenticate|refuse|process
                                  refund                {"amount", "reason", "metadata"}
                                  dispute               {"amount", "reason", "inquiry"}
POST /control/charges/{id}/       refund, dispute       as above
                                  succeed|fail          a pending charge of a Source
POST /control/setup_intents/{id}/ setup|decline         {"card"}
                                  authenticate|refuse
POST /control/sources/{id}/       authenticate|refuse|process
POST /control/refunds/{id}/       succeed, fail         {"reason"}
POST /control/disputes/{id}/      review|win|lose, and of an inquiry review|escalate|close
POST /control/payment_methods/{id}/update               {"exp_month", "exp_year"}

`refund` is what somebody does in Stripe's dashboard. Each answers {"id", "status", "object"}.
"""

from collections.abc import Callable
from typing import Any

from aiohttp import web

from boxoffice_sandbox import actions
from boxoffice_sandbox.control_calls import Handler, answering_errors, base_url, body
from boxoffice_sandbox.errors import invalid_request
from boxoffice_sandbox.scope import Scope
from boxoffice_sandbox.scopes import Scopes
from boxoffice_sandbox.stripe import (
    charges,
    disputes,
    payment_methods,
    refunds,
    sources,
)

Json = dict[str, Any]
Act = Callable[[Scope, Json, Json], Json]
Known = dict[str, tuple[type, ...]]
Actions = dict[str, tuple[Known, Act]]

_CARD: Known = {"card": (str,)}
_REFUND: Known = {"amount": (int,), "reason": (str,), "metadata": (dict,)}
_DISPUTE: Known = {"amount": (int,), "reason": (str,), "inquiry": (bool,)}


def _pressing(action: actions.Action) -> Act:
    return lambda scope, intent, given: actions.press(scope, intent, action, card=given.get("card"))


def _pressing_setup(action: actions.SetupAction) -> Act:
    return lambda scope, intent, given: actions.press_setup(
        scope, intent, action, card=given.get("card")
    )


def _refund(scope: Scope, paid: Json, given: Json) -> Json:
    """Refund a payment without any word of the merchant's server."""
    if given.get("reason", refunds.REASONS[0]) not in refunds.REASONS:
        raise invalid_request(f"reason must be one of {', '.join(refunds.REASONS)}.")
    if given.get("amount", 1) <= 0:
        raise invalid_request("amount must be a positive number.")
    if not all(isinstance(value, str) for value in given.get("metadata", {}).values()):
        message = "The values of metadata must be strings."
        raise invalid_request(message)
    return refunds.create(scope, {paid["object"]: paid["id"], **given})


def _dispute(scope: Scope, paid: Json, given: Json) -> Json:
    """Let the cardholder's bank dispute a payment, or ask about it."""
    charge = paid
    if paid["object"] == "payment_intent":
        if paid["latest_charge"] is None:
            raise invalid_request(f"{paid['id']} has no charge to dispute.")
        charge = scope.get("charge", paid["latest_charge"], param="charge")
    reason = given.get("reason", "fraudulent")
    if reason not in disputes.REASONS:
        raise invalid_request(f"reason must be one of {', '.join(disputes.REASONS)}.")
    amount = given["amount"] if "amount" in given else charge["amount_captured"]
    disputes.check_disputable(scope, charge, amount)
    return disputes.open_dispute(
        scope, charge, reason=reason, amount=amount, inquiry=given.get("inquiry", False)
    )


def _fail_refund(scope: Scope, refund: Json, given: Json) -> Json:
    reason = given.get("reason", refunds.FAILURES[0])
    if reason not in refunds.FAILURES:
        raise invalid_request(f"reason must be one of {', '.join(refunds.FAILURES)}.")
    return refunds.finish(scope, refund, succeeded=False, reason=reason)


def _update_card(scope: Scope, method: Json, given: Json) -> Json:
    """Replace a card by its successor: the same month three years on unless told otherwise."""
    card = method.get("card", {})
    month = given.get("exp_month", card.get("exp_month"))
    year = given.get("exp_year", card.get("exp_year", 0) + 3)
    if "exp_month" in given and not 1 <= month <= 12:  # noqa: PLR2004  (months)
        raise invalid_request("exp_month must be from 1 to 12.")
    return payment_methods.update_by_network(scope, method, (month, year))


_ACTIONS: dict[str, Actions] = {
    "payment_intent": {
        **{action: ({}, _pressing(action)) for action in actions.Action},
        "pay": (_CARD, _pressing(actions.Action.PAY)),
        "decline": (_CARD, _pressing(actions.Action.DECLINE)),
        "refund": (_REFUND, _refund),
        "dispute": (_DISPUTE, _dispute),
    },
    "charge": {
        "refund": (_REFUND, _refund),
        "dispute": (_DISPUTE, _dispute),
        "succeed": ({}, lambda scope, it, _: charges.end_processing(scope, it, succeeded=True)),
        "fail": ({}, lambda scope, it, _: charges.end_processing(scope, it, succeeded=False)),
    },
    "setup_intent": {
        **{action: ({}, _pressing_setup(action)) for action in actions.SetupAction},
        "setup": (_CARD, _pressing_setup(actions.SetupAction.SETUP)),
        "decline": (_CARD, _pressing_setup(actions.SetupAction.DECLINE)),
    },
    "source": {
        "authenticate": ({}, lambda scope, it, _: sources.complete(scope, it, succeeded=True)),
        "refuse": ({}, lambda scope, it, _: sources.complete(scope, it, succeeded=False)),
        "process": ({}, lambda scope, it, _: sources.complete_slowly(scope, it)),
    },
    "refund": {
        "succeed": ({}, lambda scope, it, _: refunds.finish(scope, it, succeeded=True)),
        "fail": ({"reason": (str,)}, _fail_refund),
    },
    "dispute": {
        "review": ({}, lambda scope, it, _: disputes.review(scope, it)),
        "win": ({}, lambda scope, it, _: disputes.finish(scope, it, won=True)),
        "lose": ({}, lambda scope, it, _: disputes.finish(scope, it, won=False)),
        "escalate": ({}, lambda scope, it, _: disputes.escalate(scope, it)),
        "close": ({}, lambda scope, it, _: disputes.close_inquiry(scope, it)),
    },
    "payment_method": {
        "update": ({"exp_month": (int,), "exp_year": (int,)}, _update_card),
    },
}


class ObjectControl:
    """`POST /control/<kind>s/<id>/<action>`."""

    def __init__(self, *, scopes: Scopes) -> None:
        """Take the doors' shared parts."""
        self._scopes = scopes

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.post(f"/control/{kind}s/{{id}}/{{action}}", answering_errors(self._handler(kind)))
            for kind in _ACTIONS
        ]

    def _handler(self, kind: str) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await self.act(kind, request)

        return handle

    async def act(self, kind: str, request: web.Request) -> web.Response:
        """Do one action to one object and answer what it is then."""
        action = request.match_info["action"]
        choices = _ACTIONS[kind]
        if action not in choices:
            message = f"Unknown action {action}: there are {', '.join(choices)}."
            raise invalid_request(message, status=404)
        known, run = choices[action]
        given = await body(request, known)
        where = request.match_info["id"], base_url(request)
        with self._scopes.owning(kind, *where) as (scope, found):
            done = run(scope, found, given)
        status = done.get("status") or ("attached" if done.get("customer") else "detached")
        return web.json_response({"id": done["id"], "status": status, "object": done})
