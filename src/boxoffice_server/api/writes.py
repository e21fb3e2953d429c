"""Idempotent writes: the same request id, from the same caller, gets the same answer."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from google.protobuf.message import Message
from google.rpc import status_pb2

from boxoffice_server.api.context import Context
from boxoffice_server.api.errors import from_status, to_status
from boxoffice_server.api.requests import fingerprint
from boxoffice_server.domain.errors import BoxofficeError
from boxoffice_server.domain.ids import Prefix, new_id
from boxoffice_server.operations.engine import Operations
from boxoffice_server.operations.refusals import request_id_reused
from boxoffice_server.ports import Clock, Operation, OperationKey, Repository, Store

R = TypeVar("R", bound=Message)

MOST_WAIT_SECONDS = 30.0
# How long before its deadline a call gives up waiting for the other one.
MARGIN_SECONDS = 0.5


class IdentifyCaller(Protocol):
    """Tells which service is calling."""

    def __call__(self, context: Context) -> str:
        """Answer the caller's name: a SPIFFE id, a token's subject, or the development caller."""
        ...


class Writes:
    """Runs writes once each: those that are one transaction, and those that ask the vendor."""

    def __init__(
        self, *, store: Store, clock: Clock, operations: Operations, identify: IdentifyCaller
    ) -> None:
        self._store = store
        self._clock = clock
        self._operations = operations
        self._identify = identify

    def key(
        self,
        request_id: str,
        operation: str,
        context: Context,
    ) -> OperationKey:
        """Name a write of this caller's."""
        return OperationKey(
            caller=self._identify(context), operation=operation, request_id=request_id
        )

    async def once(
        self,
        key: OperationKey,
        request: Message,
        response_type: type[R],
        body: Callable[[Repository], R],
    ) -> R:
        """Run `body` in a transaction and keep its answer; the same request again gets that answer.

        A body that raises leaves nothing, its request id included.
        """
        print_ = fingerprint(request, "request_id")

        def write(repo: Repository) -> R:
            started = Operation(
                key=key,
                fingerprint=print_,
                resource_id="",
                answer=b"",
                settled=True,
                create_time=self._clock.now(),
            )
            if not repo.operations.insert(started):
                return self._replay(repo, key, print_, response_type)
            response = body(repo)
            answered = replace(started, answer=response.SerializeToString())
            repo.operations.update(answered)
            return response

        return await self._store.write(write)

    async def known(self, key: OperationKey, request: Message, response_type: type[R]) -> R | None:
        """Answer what the same request was answered before, if it was: nothing is asked again."""
        print_ = fingerprint(request, "request_id")

        def read(repo: Repository) -> R | None:
            if repo.operations.get(key) is None:
                return None
            return self._replay(repo, key, print_, response_type)

        return await self._store.read(read)

    @staticmethod
    def _replay(repo: Repository, key: OperationKey, print_: bytes, response_type: type[R]) -> R:
        known = repo.operations.get(key)
        if known is None or known.answer is None:
            raise AssertionError("a write that is one transaction always has its answer")
        if known.fingerprint != print_:
            raise request_id_reused(key)
        return response_type.FromString(known.answer)

    async def through(
        self,
        context: Context,
        key: OperationKey,
        request: Message,
        response_type: type[R],
        *,
        resource_id: str,
        record: Callable[[Repository, Operation], Any],
        answer: Callable[[Repository, Operation], R | BoxofficeError],
        details: Mapping[str, str] | None = None,
    ) -> R:
        """Run a write that asks the vendor; the same request again gets the first one's answer.

        `record` is run in the first transaction and answers what the operation's work loads;
        `answer` in the last one, and what it answers or refuses is kept. A `record` that raises
        leaves nothing.
        """
        now = self._clock.now()
        started = Operation(
            id=new_id(Prefix.OPERATION, now),
            key=key,
            fingerprint=fingerprint(request, "request_id"),
            resource_id=resource_id,
            details=details or {},
            answer=None,
            create_time=now,
        )
        # Calls without a deadline get one from the interceptor.
        left = min(context.time_remaining() or MOST_WAIT_SECONDS, MOST_WAIT_SECONDS)
        operation = await self._operations.run(
            started, record, _encoder(answer), wait_seconds=left - MARGIN_SECONDS
        )
        if operation.answer is None:
            raise AssertionError("an operation that has ended has its answer")
        if operation.failed:
            raise from_status(status_pb2.Status.FromString(operation.answer))
        return response_type.FromString(operation.answer)


def encode_error(error: BoxofficeError) -> bytes:
    """Write a refusal as it is kept and told."""
    return to_status(error).SerializeToString()


def _encoder(
    answer: Callable[[Repository, Operation], Message | BoxofficeError],
) -> Callable[[Repository, Operation], tuple[bytes, bool]]:
    def encode(repo: Repository, operation: Operation) -> tuple[bytes, bool]:
        told = answer(repo, operation)
        if isinstance(told, BoxofficeError):
            return encode_error(told), True
        return told.SerializeToString(), False

    return encode
