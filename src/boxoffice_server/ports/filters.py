"""What is asked of the store: which things to list, and the writes that were asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from boxoffice_server.domain.notification import (
    NotificationState,
    Source,
)
from boxoffice_server.domain.order import OrderStatus
from boxoffice_server.domain.payment import (
    PaymentStatus,
)
from boxoffice_server.domain.refund import (
    DisputeStatus,
    RefundStatus,
)
from boxoffice_server.domain.task import TaskState


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilter:
    """Which orders to list. An empty field asks for nothing."""

    order_ids: tuple[str, ...] = ()
    user_id: str = ""
    target_user_id: str = ""
    statuses: tuple[OrderStatus, ...] = ()
    product_id: str = ""
    tag: str = ""
    from_time: datetime | None = None
    until_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFilter:
    """Which payments to list. An empty field asks for nothing."""

    user_id: str = ""
    order_id: str = ""
    statuses: tuple[PaymentStatus, ...] = ()
    from_time: datetime | None = None
    until_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundFilter:
    """Which refunds to list. An empty field asks for nothing."""

    payment_id: str = ""
    user_id: str = ""
    statuses: tuple[RefundStatus, ...] = ()
    from_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeFilter:
    """Which disputes to list. An empty field asks for nothing."""

    payment_id: str = ""
    user_id: str = ""
    statuses: tuple[DisputeStatus, ...] = ()
    from_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodFilter:
    """Which payment methods of a user to list. An empty tag asks for nothing."""

    user_id: str
    tag: str = ""
    detached: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """Which tasks to list. An empty field asks for nothing."""

    function_name: str = ""
    states: tuple[TaskState, ...] = ()
    order_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationFilter:
    """Which notifications to list. An empty field asks for nothing."""

    source: Source | None = None
    state: NotificationState | None = None
    type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationKey:
    """Names one write of one caller: the scope of a request id."""

    caller: str
    operation: str
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One write that was asked for.

    `fingerprint` tells its request from another with the same key. `resource_id` names what it is
    about, and `details` is what else it takes to do it, so that anyone can take it up again.
    `answer` is what the caller was told, serialised, and None while it runs; `failed` says that the
    answer is an error. `settled` says that what became of it at the vendor is known and recorded.

    While it runs, `owner` holds it until `lease_time`; where nobody does, that is when the janitor
    may take it up, which a caller need not wait for. Both are in real time. `tries` counts how
    often it was taken up, `attempt` the vendor's keys it has used: a new one only where the last is
    `key_spent`, which is to say that the vendor will answer the same failure to it for ever.
    """

    id: str = ""
    key: OperationKey
    fingerprint: bytes
    resource_id: str
    details: Mapping[str, str] = field(default_factory=dict)
    answer: bytes | None
    failed: bool = False
    settled: bool = False
    owner: str = ""
    lease_time: datetime | None = None
    tries: int = 0
    attempt: int = 1
    key_spent: bool = False
    create_time: datetime

    @property
    def vendor_key(self) -> str:
        """Tell the idempotency key of its next request to the vendor: kept before it is used."""
        return f"boxoffice-{self.id}-{self.attempt}"
