"""The HTTP port: vendors' webhooks, metrics and health. Its own listener, apart from gRPC."""

import json
import uuid
from collections.abc import Awaitable, Callable, Sequence

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.notification import Source
from boxoffice_server.intake import MAX_BODY_BYTES, Intake
from boxoffice_server.settings import Address

_STATUSES = {
    Reason.SIGNATURE_INVALID: 400,
    Reason.TIMESTAMP_OUT_OF_TOLERANCE: 400,
    Reason.NOTIFICATION_MALFORMED: 400,
    Reason.LIVEMODE_MISMATCH: 400,
    Reason.SOURCE_NOT_CONFIGURED: 404,
}


class HttpPort:
    """Serves HTTP beside gRPC; `more` is what else it serves."""

    def __init__(
        self,
        *,
        address: Address,
        intake: Intake,
        registry: CollectorRegistry,
        is_serving: Callable[[], bool],
        more: Sequence[web.RouteDef] = (),
    ) -> None:
        self._address = address
        self._intake = intake
        self._registry = registry
        self._is_serving = is_serving
        self._log = structlog.get_logger(part="http")
        application = web.Application(client_max_size=MAX_BODY_BYTES)
        application.router.add_post("/webhooks/stripe", self._webhook(Source.STRIPE))
        application.router.add_post("/webhooks/app-store", self._webhook(Source.APP_STORE))
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/healthz", self._health)
        application.router.add_routes(more)
        # Requests that run are waited for twice this at most; what is cut the vendor sends again.
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.25)

    async def start(self) -> Address:
        """Listen; answers the address with the port that was taken."""
        await self._runner.setup()
        host = self._address.host.strip("[]")
        await web.TCPSite(self._runner, host, self._address.port).start()
        port = int(self._runner.addresses[0][1])
        return Address(host=self._address.host, port=port)

    async def stop(self) -> None:
        """Finish the requests that run, and listen no more."""
        await self._runner.cleanup()

    def _webhook(self, source: Source) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def take(request: web.Request) -> web.Response:
            return await self._take(source, request)

        return take

    async def _take(self, source: Source, request: web.Request) -> web.Response:
        """Take a webhook: 2xx once it is durable, so that its vendor sends what was not kept again.

        What is not the vendor's is a 400. Trouble of ours, or with asking the vendor, never is:
        vendors give up sooner on those.
        """
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return _refusal(413, "BODY_TOO_LARGE", f"at most {MAX_BODY_BYTES} bytes")
        try:
            await self._intake.deliver(source, request.headers, body)
        except BoxofficeError as error:
            status = _STATUSES.get(error.reason, 503)
            self._log.info("webhook refused", status=status, reason=error.reason)
            return _refusal(status, error.reason, error.message)
        except Exception as error:  # noqa: BLE001 -- the edge: a fault of ours is a 500
            request_id = str(uuid.uuid4())
            self._log.error("a fault of the service", request_id=request_id, exc_info=error)
            return _refusal(500, Reason.INTERNAL, f"the log tells of it under {request_id}")
        return web.Response(status=200)

    async def _metrics(self, request: web.Request) -> web.Response:
        del request
        return web.Response(
            body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    async def _health(self, request: web.Request) -> web.Response:
        del request
        if self._is_serving():
            return web.Response(text="SERVING\n")
        return web.Response(status=503, text="NOT_SERVING\n")


def _refusal(status: int, reason: str, message: str) -> web.Response:
    return web.Response(
        status=status,
        text=json.dumps({"reason": reason, "message": message}) + "\n",
        content_type="application/json",
    )
