"""What happens around every call: its id, its deadline, its errors, its log line, its count."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar, cast

import grpc
import structlog
from google.protobuf.message import Message
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.registry import CollectorRegistry

from boxoffice_server.api.card_numbers import refuse_card_numbers
from boxoffice_server.api.context import Context
from boxoffice_server.api.errors import DETAILS_KEY, to_status
from boxoffice_server.domain.errors import BoxofficeError, Reason

# A caller that sets no deadline, as grpcurl does, gets this one.
MOST_SECONDS = 30.0
# gRPC sends a deadline in few digits, rounded up: 30 s arrive as 30.1.
ROUNDED_SECONDS = 0.1
SLOW_SECONDS = 1.0
# One successful call in so many is logged; errors and slow calls always are.
SAMPLE_EVERY = 100
# A stalled client must not hold its abort for ever.
ABORT_SECONDS = 2.0

T = TypeVar("T")

_OWN_PREFIX = "/boxoffice."

# Generic for type checkers only.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
# What answers a call, or sends to a stream.
Work: TypeAlias = Callable[[Message, Context], Awaitable[object]]


class CallMetrics:
    """What is counted about calls."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.calls = Counter(
            "boxoffice_calls",
            "Calls that ended, by method and code",
            ["method", "code"],
            registry=registry,
        )
        self.seconds = Histogram(
            "boxoffice_call_seconds", "How long unary calls took", ["method"], registry=registry
        )
        self.open = Gauge(
            "boxoffice_open_calls", "Calls that are running, by kind", ["kind"], registry=registry
        )


class Calls(grpc.aio.ServerInterceptor):
    """Wraps each of our own methods once; health and reflection pass untouched.

    Knows how many calls run, so that a drain can wait for the last one.
    """

    def __init__(self, metrics: CallMetrics) -> None:
        self._metrics = metrics
        self._log = structlog.get_logger(part="calls")
        self._wrapped: dict[str, Handler] = {}
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._successes = 0

    async def wait_idle(self) -> None:
        """Wait until no call of ours runs."""
        await self._idle.wait()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable["Handler | None"]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "Handler | None":
        method = handler_call_details.method
        wrapped = self._wrapped.get(method)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None or not method.startswith(_OWN_PREFIX):
                return handler
            wrapped = self._wrapped[method] = self._wrap(method, handler)
        return wrapped

    def _wrap(self, method: str, handler: "Handler") -> "Handler":
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                self._streaming(method, handler.unary_stream),
                request_deserializer=handler.request_deserializer,
                response_serializer=_serialize,
            )
        return grpc.unary_unary_rpc_method_handler(
            self._unary(method, handler.unary_unary),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _unary(self, method: str, inner: Any) -> Any:  # noqa: ANN401 -- grpc's own handler type
        seconds = self._metrics.seconds.labels(method)

        async def answer(request: Message, context: Context) -> object:
            started = time.perf_counter()
            refuse_card_numbers(request)
            # None without a deadline, which the published types leave out.
            remaining = cast("float | None", context.time_remaining())
            if remaining is not None and remaining <= MOST_SECONDS + ROUNDED_SECONDS:
                # gRPC itself ends the call when its own deadline passes.
                response = await inner(request, context)
            else:
                response = await _within_limit(inner(request, context))
            seconds.observe(time.perf_counter() - started)
            return response

        return self._around(method, "unary", answer)

    def _streaming(self, method: str, inner: Any) -> Any:  # noqa: ANN401 -- grpc's own handler type
        async def send(request: Message, context: Context) -> None:
            refuse_card_numbers(request)
            await inner(request, context)

        return self._around(method, "stream", send)

    def _around(self, method: str, kind: str, work: Work) -> Work:
        """Have work run as every call does."""
        running = self._metrics.open.labels(kind)

        async def call(request: Message, context: Context) -> object:
            started = time.perf_counter()
            self._running += 1
            self._idle.clear()
            running.inc()
            code = grpc.StatusCode.OK
            try:
                return await work(request, context)
            except asyncio.CancelledError:
                code = grpc.StatusCode.CANCELLED
                raise
            except Exception as error:  # noqa: BLE001 -- the edge: each becomes a status
                refusal = self._refusal(error, method)
                status = to_status(refusal)
                code = _CODES[status.code]
                self._tell(method, code, started, reason=refusal.reason)
                async with asyncio.timeout(ABORT_SECONDS):
                    await context.abort(
                        code,
                        status.message,
                        trailing_metadata=((DETAILS_KEY, status.SerializeToString()),),
                    )
            finally:
                self._running -= 1
                if not self._running:
                    self._idle.set()
                running.dec()
                self._metrics.calls.labels(method, code.name).inc()
                if code is grpc.StatusCode.OK:
                    self._tell_success(method, started, kind)
            raise AssertionError("an aborted call does not go on")

        return call

    def _refusal(self, error: Exception, method: str) -> BoxofficeError:
        if isinstance(error, BoxofficeError):
            return error
        request_id = str(uuid.uuid4())
        self._log.error(
            "a fault of the service", method=method, request_id=request_id, exc_info=error
        )
        return BoxofficeError(
            Reason.INTERNAL,
            f"a fault of the service; its log tells of it under {request_id}",
            metadata={"request_id": request_id},
        )

    def _tell(
        self, method: str, code: grpc.StatusCode, started: float, *, reason: Reason | None = None
    ) -> None:
        self._log.info(
            "call",
            method=method,
            code=code.name,
            reason=reason,
            seconds=round(time.perf_counter() - started, 6),
        )

    def _tell_success(self, method: str, started: float, kind: str) -> None:
        slow = kind == "unary" and time.perf_counter() - started >= SLOW_SECONDS
        self._successes += 1
        if slow or self._successes % SAMPLE_EVERY == 1:
            self._tell(method, grpc.StatusCode.OK, started)


_CODES = {code.value[0]: code for code in grpc.StatusCode}


async def _within_limit(work: Awaitable[T]) -> T:
    """Wait for work as long as a call may take; a timeout of the work's own is a fault like any."""
    limit = asyncio.timeout(MOST_SECONDS)
    try:
        async with limit:
            return await work
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise BoxofficeError(
            Reason.DEADLINE_EXCEEDED, f"the call did not end within {MOST_SECONDS:.0f} s"
        ) from error


def _serialize(response: Any) -> bytes:  # noqa: ANN401 -- a message of any Watch, or its bytes
    """Write a streamed response; frames that were serialised for many streams pass as they are."""
    return response if isinstance(response, bytes) else response.SerializeToString()
