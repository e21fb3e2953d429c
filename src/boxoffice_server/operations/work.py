"""What one kind of operation does, as the engine sees it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from boxoffice_server.domain.errors import BoxofficeError
from boxoffice_server.ports import Operation, Repository

LoadedT = TypeVar("LoadedT")

Record = Callable[[Repository, Operation], Operation]
"""Records in a transaction what the vendor said; answers the operation, with what it learned."""

Answer = Callable[[Repository, Operation], tuple[bytes, bool]]
"""Says in the same transaction what the caller is told, and whether that is an error."""


class Work(Protocol[LoadedT]):
    """What one kind of operation does, from what was recorded of it."""

    def load(self, repo: Repository, operation: Operation) -> LoadedT:
        """Read what it is about."""
        ...

    async def ask(self, operation: Operation, loaded: LoadedT) -> Record:
        """Ask the vendor. No transaction is open."""
        ...

    def refuse(self, repo: Repository, operation: Operation, error: BoxofficeError) -> Operation:
        """Record that it has ended in a refusal."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun(Generic[LoadedT]):
    """An operation that was recorded. `mine` says that this call is the one to go on with it."""

    operation: Operation
    mine: bool
    loaded: LoadedT | None
