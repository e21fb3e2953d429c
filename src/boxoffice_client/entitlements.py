"""Watching entitlements, and keeping a local copy of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import ClassVar

import grpc

from boxoffice.entitlements.v1 import entitlements_pb2, entitlements_pb2_grpc, subscriptions_pb2
from boxoffice_client.watch import BackOff, Resuming, Whole, caller


class WatchedEntitlements(
    Resuming[
        Whole[subscriptions_pb2.EntitlementEvent],
        subscriptions_pb2.EntitlementEvent,
        entitlements_pb2.WatchEntitlementsResponse,
    ]
):
    """An endless stream of wholes: `async for whole in watch`.

    One with `snapshot` has all entitlements that match, or none where none do, and replaces what
    was told before. Any other has the changes of whole transactions, in order. Each event has the
    `entitlement`, and says if it is `removed`.

    It resumes by itself as `watch_orders` does. A snapshot that is interrupted is read anew, and
    nothing of the first is handed out. Where the service can't go on from the token, as after a
    backup was restored or when it was not called for too long, the next whole is another snapshot.

    Raises StreamBroken, ResumeImpossible where the token was not kept as it was, or the call's own
    `grpc.aio.AioRpcError` where trying again is of no use.
    """

    _has_snapshots: ClassVar[bool] = True

    def _tell(
        self, whole: Whole[subscriptions_pb2.EntitlementEvent]
    ) -> Sequence[Whole[subscriptions_pb2.EntitlementEvent]]:
        # An empty snapshot is news: all that was there is gone.
        return (whole,) if whole.events or whole.snapshot else ()

    def _is_snapshot(self, frame: entitlements_pb2.WatchEntitlementsResponse) -> bool:
        return frame.snapshot


def watch_entitlements(
    channel: grpc.aio.Channel,
    *,
    user_id: str = "",
    subscription_groups: Iterable[str] = (),
    source: "subscriptions_pb2.SubscriptionSource.ValueType" = (
        subscriptions_pb2.SUBSCRIPTION_SOURCE_UNSPECIFIED
    ),
    environment: "subscriptions_pb2.Environment.ValueType" = (
        subscriptions_pb2.ENVIRONMENT_UNSPECIFIED
    ),
    resume_token: str | None = None,
    progress_interval: timedelta = timedelta(seconds=5),
    back_off: BackOff | None = None,
    on_frame: Callable[[entitlements_pb2.WatchEntitlementsResponse], None] | None = None,
) -> WatchedEntitlements:
    """Watch the entitlements that match: a snapshot of them all, then every change, for ever.

    With a token that was kept it goes on from there, without a snapshot and without a gap. Without
    an environment the service's own is meant. To keep a local copy in memory:

        copy = EntitlementCopy()
        async with watch_entitlements(channel, subscription_groups=["premium"]) as watch:
            async for whole in watch:
                copy.take(whole)

    Who keeps it elsewhere does as `EntitlementCopy.take` does, and keeps `whole.resume_token` in
    the same transaction.
    """
    call = caller(
        entitlements_pb2_grpc.EntitlementsServiceStub(channel).WatchEntitlements,
        partial(
            entitlements_pb2.WatchEntitlementsRequest,
            user_id=user_id,
            subscription_groups=tuple(subscription_groups),
            source=source,
            environment=environment,
        ),
        progress_interval,
    )
    # An empty token is one that was not kept yet.
    return WatchedEntitlements(
        call,
        resume_token or None,
        silence=progress_interval,
        back_off=back_off,
        on_frame=on_frame,
    )


class EntitlementCopy:
    """A local copy of the entitlements that a watch tells: the newest of each.

    What the clock alone brings about is told shortly after its instant; who needs it at once
    compares `access_until`.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._known: dict[str, subscriptions_pb2.Entitlement] = {}

    @property
    def entitlements(self) -> Mapping[str, subscriptions_pb2.Entitlement]:
        """What was told last of each, by its id."""
        return self._known

    def take(self, whole: Whole[subscriptions_pb2.EntitlementEvent]) -> None:
        """Go on with what a watch has told."""
        if whole.snapshot:
            self._known = {}
        for event in whole.events:
            told = event.entitlement
            known = self._known.get(told.id)
            # A snapshot may be ahead of the changes that are told after it.
            if known is not None and known.version > told.version:
                continue
            if event.removed:
                self._known.pop(told.id, None)
            else:
                self._known[told.id] = told
