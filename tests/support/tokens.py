"""Tokens of every kind, as if a log had given them."""

import uuid

from boxoffice_server.domain.stream import Token, TokenKind

NO_EVENT = "evt_0192f0c100007000800000000000002a"


def a_token(*, log_id: uuid.UUID, kind: TokenKind, number: int) -> Token:
    """A token of this kind; an event that it names is in no log."""
    event_id = NO_EVENT if kind is TokenKind.EVENT else ""
    return Token(log_id=log_id, kind=kind, number=number, event_id=event_id)
