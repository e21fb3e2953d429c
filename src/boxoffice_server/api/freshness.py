"""How fresh a read must be: at least as the token that a caller holds.

Reads are answered by the store that takes the writes, and a token is given out once its write is
committed; so a read that begins later sees the write, numbered or not, and waits for nothing. What
is left is to refuse a token that this log never gave.
"""

from typing import Literal, Protocol

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.stream import Token, TokenKind, check_position, decode_token
from boxoffice_server.ports import Repository


class FreshRequest(Protocol):
    """What all requests have in common that ask for freshness."""

    at_least_as_fresh: str

    def WhichOneof(
        self, oneof_group: Literal["freshness"], /
    ) -> Literal["at_least_as_fresh", "fully_consistent"] | None: ...


def read_freshness(request: FreshRequest) -> Token | None:
    """Read the token that an answer must lie behind; None: any. Raises RESUME_TOKEN_INVALID."""
    if request.WhichOneof("freshness") != "at_least_as_fresh":
        return None
    return decode_token(request.at_least_as_fresh)


def check_fresh(repo: Repository, token: Token | None) -> None:
    """Raise where this transaction does not see what the token stands for.

    Raises LOG_CHANGED and POSITION_AHEAD. A token whose place was compacted is fresh enough.
    """
    if token is None:
        return
    bounds = repo.log.bounds()
    # What lies before the log's beginning has long been there.
    oldest = bounds.earliest - 1
    if token.kind is TokenKind.POSITION:
        check_position(bounds, token.log_id, max(token.number, oldest))
        return
    check_position(bounds, token.log_id, oldest)
    try:
        repo.log.resolve(token)
    except BoxofficeError as error:
        if error.reason is not Reason.POSITION_COMPACTED:
            raise
