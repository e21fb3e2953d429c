"""Grants: what a person of ours gave to a user by hand."""

from dataclasses import dataclass
from datetime import datetime

from boxoffice_server.domain.subscription import Environment, LineageKey, SubscriptionSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A subscription product that was given to a user, until a time or for ever.

    `product_id` is that of our subscription product record, whose source is manual. `reason` is
    why it was given and `actor` who gave it; the `revoke_` fields say the same of its withdrawal.
    """

    id: str
    product_id: str
    user_id: str
    environment: Environment
    from_time: datetime
    until_time: datetime | None
    reason: str
    actor: str
    create_time: datetime
    revoke_time: datetime | None = None
    revoke_reason: str = ""
    revoke_actor: str = ""

    @property
    def lineage(self) -> LineageKey:
        """Tell the lineage of this grant: each is one of its own."""
        return LineageKey(
            source=SubscriptionSource.MANUAL,
            environment=self.environment,
            app="",
            lineage=self.id,
        )
