"""The App Store Server API, as far as the service uses it: paths below `/app-store` are Apple's."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from boxoffice_sandbox.app_store import renewals
from boxoffice_sandbox.app_store.auth import ApiKey
from boxoffice_sandbox.app_store.faulty import (
    PREFIX,
    AppleError,
    faulty,
    json_answer,
    unauthenticated,
)
from boxoffice_sandbox.app_store.history import notification_page, transaction_page
from boxoffice_sandbox.app_store.life import Notice
from boxoffice_sandbox.app_store.notifications import app_fields
from boxoffice_sandbox.app_store.shop import Shop
from boxoffice_sandbox.app_store.subscription import STATUSES, Subscription, read_token
from boxoffice_sandbox.errors import StripeError
from boxoffice_sandbox.faults import Faults

Json = dict[str, Any]
Endpoint = Callable[[web.Request, str], Awaitable[web.Response]]

_OK, _ACCEPTED = 200, 202
_BAD_REQUEST, _FORBIDDEN, _NOT_FOUND = 400, 403, 404
_REASONS = range(4)
_LONGEST_EXTENSION_DAYS = 90
_LONGEST_IDENTIFIER = 128


class ServerApi:
    """Answers what Apple's own client asks. `bundle` is the app that a request's token names."""

    def __init__(self, shop: Shop, key: ApiKey, faults: Faults) -> None:
        """Take the shop, whose key callers must have, and what goes wrong."""
        self._shop = shop
        self._key = key
        self._faults = faults

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        table: tuple[tuple[str, str, Endpoint], ...] = (
            ("GET", "/v1/subscriptions/{id}", self.statuses),
            ("PUT", "/v1/subscriptions/extend/{id}", self.extend),
            ("GET", "/v1/transactions/{id}", self.transaction),
            ("PUT", "/v1/transactions/{id}/appAccountToken", self.set_token),
            ("PUT", "/v1/transactions/consumption/{id}", self.consumption),
            ("PUT", "/v2/transactions/consumption/{id}", self.consumption),
            ("GET", "/v1/history/{id}", self.history),
            ("GET", "/v2/history/{id}", self.history),
            ("POST", "/v1/notifications/history", self.notifications),
            ("POST", "/v1/notifications/test", self.request_test),
            ("GET", "/v1/notifications/test/{token}", self.status_of_test),
        )
        return [
            web.route(verb, f"{PREFIX}/inApps{path}", self._handler(run))
            for verb, path, run in table
        ]

    def _handler(self, run: Endpoint) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.Response:
            bundle = self._key.bundle_of(request.headers.get("Authorization"))
            sold = {product.bundle_id for product in self._shop.records.products().values()}
            if bundle not in sold:
                return unauthenticated()
            try:
                return await run(request, bundle)
            except AppleError as error:
                return error.response()

        return faulty(self._faults, answer, now=self._shop.now)

    def _find(self, name: str, bundle: str) -> Subscription:
        if not name.isdigit():
            raise AppleError(_BAD_REQUEST, 4_000_006, "Invalid transaction id.")
        found = self._shop.records.by_transaction(name)
        environment = self._shop.settings.environment
        if found is None or (found.bundle_id, found.environment) != (bundle, environment):
            raise AppleError(_NOT_FOUND, 4_040_010, "Transaction id not found.")
        return found

    def _find_original(self, name: str, bundle: str) -> Subscription:
        if not name.isdigit():
            raise AppleError(_BAD_REQUEST, 4_000_008, "Invalid original transaction id.")
        found = self._shop.records.by_transaction(name)
        if found is None or found.bundle_id != bundle:
            raise AppleError(_NOT_FOUND, 4_040_005, "Original transaction id not found.")
        if found.id != name:
            message = "Invalid request. The transaction id is not an original transaction id."
            raise AppleError(_BAD_REQUEST, 4_000_187, message)
        return found

    def _app(self, bundle: str) -> Json:
        return app_fields(self._shop.settings.environment, bundle)

    async def statuses(self, request: web.Request, bundle: str) -> web.Response:
        """Get All Subscription Statuses: of the customer's, the latest of each lineage."""
        wanted = request.query.getall("status", [])
        if any(it not in {str(status) for status in STATUSES.values()} for it in wanted):
            raise AppleError(_BAD_REQUEST, 4_000_031, "Invalid request. The status is invalid.")
        asked = self._find(request.match_info["id"], bundle)
        groups: dict[str, list[Json]] = {}
        for found in self._shop.records.of_customer(asked.app_transaction_id):
            items = groups.setdefault(found.current.fields["subscriptionGroupIdentifier"], [])
            if not wanted or str(found.status) in wanted:
                items.append(
                    {
                        "originalTransactionId": found.id,
                        "status": found.status,
                        "signedTransactionInfo": self._shop.signed_transaction(found),
                        "signedRenewalInfo": self._shop.signed_renewal(found),
                    }
                )
        data = [
            {"subscriptionGroupIdentifier": group, "lastTransactions": items}
            for group, items in groups.items()
        ]
        return json_answer({**self._app(bundle), "data": data})

    async def transaction(self, request: web.Request, bundle: str) -> web.Response:
        """Get Transaction Info."""
        name = request.match_info["id"]
        found = self._find(name, bundle)
        return json_answer({"signedTransactionInfo": self._shop.signed_transaction(found, name)})

    async def history(self, request: web.Request, bundle: str) -> web.Response:
        """Get Transaction History: all of the customer's, as they are now."""
        asked = self._find(request.match_info["id"], bundle)
        owned = self._shop.records.of_customer(asked.app_transaction_id)
        query = {name: request.query.getall(name) for name in request.query}
        page = transaction_page(owned, query)
        signed = [self._shop.sign(it.fields) for it in page.items]
        more = {"revision": page.revision, "hasMore": page.has_more}
        return json_answer({**self._app(bundle), **more, "signedTransactions": signed})

    async def notifications(self, request: web.Request, bundle: str) -> web.Response:
        """Get Notification History: as they were when they were sent."""
        body = notification_page(
            self._shop.records,
            await _body(request),
            request.query.get("paginationToken"),
            environment=self._shop.settings.environment,
            bundle_id=bundle,
            now=self._shop.now(),
        )
        return json_answer(body)

    async def request_test(self, _request: web.Request, bundle: str) -> web.Response:
        """Request a Test Notification."""
        if not self._shop.settings.service_url:
            raise AppleError(_NOT_FOUND, 4_040_007, "Server notification URL not found.")
        return json_answer({"testNotificationToken": request_test(self._shop, bundle)})

    async def status_of_test(self, request: web.Request, _app: str) -> web.Response:
        """Get Test Notification Status."""
        name = request.match_info["token"].partition("_")[0]
        found = self._shop.records.notification(name)
        if found is None or found["type"] != "TEST":
            raise AppleError(_NOT_FOUND, 4_040_008, "Test notification not found.")
        sends = self._shop.records.sends(name)
        return json_answer({"signedPayload": found["payload"], "sendAttempts": sends})

    async def consumption(self, request: web.Request, bundle: str) -> web.Response:
        """Send Consumption Information."""
        name = request.match_info["id"]
        self._find(name, bundle)
        given = await _body(request)
        if given.get("customerConsented") is not True:
            message = "Invalid request. The customer consented field is invalid."
            raise AppleError(_BAD_REQUEST, 4_000_035, message)
        self._shop.records.add_consumption(name, given)
        return web.Response(status=_ACCEPTED)

    async def set_token(self, request: web.Request, bundle: str) -> web.Response:
        """Set App Account Token."""
        # Read first: nothing may happen between finding a subscription and saving it.
        token = (await _body(request)).get("appAccountToken")
        found = self._find_original(request.match_info["id"], bundle)
        if found.is_family_shared:
            message = "Invalid request. The transaction belongs to a family member."
            raise AppleError(_BAD_REQUEST, 4_000_185, message)
        try:
            token = read_token(str(token))
        except ValueError as error:
            message = "Invalid request. The app account token must be a UUID."
            raise AppleError(_BAD_REQUEST, 4_000_183, message) from error
        with self._shop.acting() as moment:
            found.app_account_token = token
            for transaction in found.transactions:
                transaction.fields["appAccountToken"] = token
                transaction.modified = moment.now
            self._shop.records.save(found)
        return web.Response(status=_OK)

    async def extend(self, request: web.Request, bundle: str) -> web.Response:
        """Extend a Subscription Renewal Date."""
        given = await _body(request)
        found = self._find_original(request.match_info["id"], bundle)
        days = given.get("extendByDays")
        if not isinstance(days, int) or not 1 <= days <= _LONGEST_EXTENSION_DAYS:
            message = "Invalid request. The extend by days must be from 1 to 90."
            raise AppleError(_BAD_REQUEST, 4_000_009, message)
        if given.get("extendReasonCode") not in _REASONS:
            message = "Invalid request. The extend reason code must be from 0 to 3."
            raise AppleError(_BAD_REQUEST, 4_000_010, message)
        name = given.get("requestIdentifier")
        if not isinstance(name, str) or not 1 <= len(name) <= _LONGEST_IDENTIFIER:
            message = "Invalid request. The request identifier is invalid."
            raise AppleError(_BAD_REQUEST, 4_000_011, message)
        if found.is_family_shared:
            message = "Forbidden: a family member's subscription is the purchaser's."
            raise AppleError(_FORBIDDEN, 4_030_007, message)
        try:
            with self._shop.acting() as moment:
                renewals.extend(moment, found, days)
                self._shop.records.save(found)
        except StripeError as error:
            message = "Forbidden: the subscription is not active."
            raise AppleError(_FORBIDDEN, 4_030_004, message) from error
        return json_answer(
            {
                "originalTransactionId": found.id,
                "webOrderLineItemId": found.current.fields["webOrderLineItemId"],
                "success": True,
                "effectiveDate": found.renewal_at,
            }
        )


def request_test(shop: Shop, bundle: str) -> str:
    """Send a test notification; return the token by which Apple tells what became of it."""
    with shop.acting() as moment:
        environment = shop.settings.environment
        moment.notices.append(
            Notice(type="TEST", at=moment.now, bundle_id=bundle, environment=environment)
        )
    return f"{shop.newest_notification()}_{moment.now}"


async def _body(request: web.Request) -> Json:
    try:
        given = json.loads(await request.read())
    except ValueError as error:
        raise AppleError(_BAD_REQUEST, 4_000_000, "Bad request.") from error
    if not isinstance(given, dict):
        raise AppleError(_BAD_REQUEST, 4_000_000, "Bad request.")
    return given
