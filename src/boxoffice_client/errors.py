"""What went wrong, as a caller can tell it apart."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

REASON_DOMAIN = "boxoffice"
_DETAILS_KEY = "grpc-status-details-bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorInfo:
    """Why the service refused: a name of `ErrorReason` without its prefix, and its metadata."""

    reason: str
    metadata: Mapping[str, str] = field(default_factory=dict)


class WatchError(Exception):
    """A stream that can't go on."""


class ResumeImpossible(WatchError):  # noqa: N818 -- says what is the matter
    """The service can't go on from the token: list again, then watch from the list's token.

    `reason` is LOG_CHANGED, POSITION_COMPACTED or POSITION_AHEAD; or RESUME_TOKEN_INVALID, which is
    a bug in how the token was kept.
    """

    def __init__(self, reason: str, metadata: Mapping[str, str], message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.metadata = dict(metadata)


class StreamBroken(WatchError):  # noqa: N818 -- says what is the matter
    """The service broke the stream contract: something was lost, repeated or out of order.

    Nothing of the frame that showed it was handed out. The last resume token is still good.
    """


def error_info(error: BaseException) -> ErrorInfo | None:
    """Read why a call failed; None if the service itself did not say, as when it can't be reached.

    Takes the error of an awaited call, `grpc.aio.AioRpcError`, or of a blocking one.
    """
    trailing = getattr(error, "trailing_metadata", None)
    if not isinstance(error, grpc.RpcError) or trailing is None:
        return None
    for key, value in trailing() or ():
        if key == _DETAILS_KEY:
            return _info(value)
    return None


def _info(details: bytes) -> ErrorInfo | None:
    status = status_pb2.Status()
    info = error_details_pb2.ErrorInfo()
    try:
        status.ParseFromString(details)
        told = any(each.Unpack(info) and info.domain == REASON_DOMAIN for each in status.details)
    except DecodeError:
        # Not written by the service.
        return None
    return ErrorInfo(reason=info.reason, metadata=dict(info.metadata)) if told else None
