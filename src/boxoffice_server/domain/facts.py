"""Facts: what a vendor has told about a subscription, verified, and whose the subscription is."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from boxoffice_server.domain.ids import Prefix, hashed_id
from boxoffice_server.domain.subscription import LineageKey


class FactKind(StrEnum):
    """How a fact came: the vendor told it, or we asked, or it was handed in."""

    NOTIFICATION = "notification"
    READ = "read"
    SUBMITTED = "submitted"
    GRANT = "grant"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionFact:
    """One verified statement about a lineage. It never changes, and none is ever removed.

    `vendor_id` is what makes it one fact, however often it arrives (Apple: the notification's UUID;
    for what was read, the transaction's id and the time of its signature). `type` is the vendor's
    word for it. `sign_time` is the vendor's order key, `record_time` the business time at which it
    was first kept. `account_token` is the UUID that the app passed with the purchase; empty where
    there is none, and `token_time` is when it was. `previous_lineage` is the vendor's id of the
    lineage that this one goes on from, where the vendor says so. `payload` is the verified content
    as JSON, for the vendor's reader alone. `vendor_product_id` is the product that it speaks of: by
    it the lineages are found that wait for a product to be known.
    """

    lineage: LineageKey
    kind: FactKind
    vendor_id: str
    type: str
    sign_time: datetime
    record_time: datetime
    notification_id: str = ""
    account_token: str = ""
    token_time: datetime | None = None
    previous_lineage: str = ""
    vendor_product_id: str = ""
    payload: bytes

    @property
    def id(self) -> str:
        """Tell the id that stands for this fact."""
        return hashed_id(Prefix.FACT, self.lineage.id, self.vendor_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """From a moment on, a lineage is a user's; nobody's, where `user_id` is empty.

    Made by a caller of ours (a purchase handed in, a user detached). The first link of a lineage
    reaches back to its beginning.
    """

    id: str
    lineage_id: str
    user_id: str
    time: datetime
    record_time: datetime
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountToken:
    """The UUID by which a user's purchases link themselves, until the user is detached."""

    token: str
    user_id: str
    create_time: datetime
    end_time: datetime | None = None
