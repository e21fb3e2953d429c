"""Idempotent writes: the same request id, from the same caller, gets the same answer."""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, TypeVar

from google.protobuf.message import Message

from boxoffice_server.api.context import Context
from boxoffice_server.api.requests import fingerprint
from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.ports import Clock, Operation, OperationKey, Repository, Store

R = TypeVar("R", bound=Message)


class IdentifyCaller(Protocol):
    """Tells which service is calling."""

    def __call__(self, context: Context) -> str:
        """Answer the caller's name: a SPIFFE id, a token's subject, or the development caller."""
        ...


def request_id_reused(key: OperationKey) -> BoxofficeError:
    """Refuse a request id that the caller has used for something else."""
    return BoxofficeError(
        Reason.REQUEST_ID_REUSED,
        f"request id {key.request_id} was used for another {key.operation} before",
        metadata={"request_id": key.request_id},
    )


class Writes:
    """Runs writes that are one transaction, once each."""

    def __init__(self, *, store: Store, clock: Clock, identify: IdentifyCaller) -> None:
        self._store = store
        self._clock = clock
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
                failed=False,
                owner="",
                lease_time=None,
                create_time=self._clock.now(),
            )
            if not repo.operations.insert(started):
                return self._replay(repo, key, print_, response_type)
            response = body(repo)
            answered = replace(started, answer=response.SerializeToString())
            repo.operations.update(answered)
            return response

        return await self._store.write(write)

    @staticmethod
    def _replay(repo: Repository, key: OperationKey, print_: bytes, response_type: type[R]) -> R:
        known = repo.operations.get(key)
        if known is None or known.answer is None:
            raise AssertionError("a write that is one transaction always has its answer")
        if known.fingerprint != print_:
            raise request_id_reused(key)
        return response_type.FromString(known.answer)
