"""How a caller is told that an operation can't go on."""

from datetime import timedelta

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.ports import OperationKey, Repository

# After these the same operation may be tried again; every other refusal is its end.
PASSING = {
    Reason.IN_PROGRESS,
    Reason.VENDOR_UNAVAILABLE,
    Reason.OUTCOME_UNKNOWN,
    Reason.STORE_UNAVAILABLE,
    Reason.INTERNAL,
}


def in_progress(key: OperationKey) -> BoxofficeError:
    """Refuse a call while an equal one runs."""
    return BoxofficeError(
        Reason.IN_PROGRESS,
        f"a call with request id {key.request_id} is still running",
        metadata={"request_id": key.request_id},
        retry_after=timedelta(seconds=1),
    )


def check_settled(repo: Repository, resource_id: str, *, but: str) -> None:
    """Raise IN_PROGRESS while what became of an operation on this is not known, but for one."""
    others = [each for each in repo.operations.unsettled_on(resource_id) if each.id != but]
    if others:
        raise BoxofficeError(
            Reason.IN_PROGRESS,
            f"what became of {others[0].key.operation} on {resource_id} is not known yet",
            # Not under which request id: that is its caller's own affair.
            metadata={"operation": others[0].key.operation, "resource_id": resource_id},
            retry_after=timedelta(seconds=1),
        )


def expired(key: OperationKey) -> BoxofficeError:
    """Refuse to send what is too old to be sent."""
    return BoxofficeError(
        Reason.REQUEST_EXPIRED,
        f"request {key.request_id} never came to an end, and nothing happened at the vendor",
        metadata={"request_id": key.request_id},
    )


def request_id_reused(key: OperationKey) -> BoxofficeError:
    """Refuse a request id that the caller has used for something else."""
    return BoxofficeError(
        Reason.REQUEST_ID_REUSED,
        f"request id {key.request_id} was used for another {key.operation} before",
        metadata={"request_id": key.request_id},
    )
