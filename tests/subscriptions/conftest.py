"""A store, a clock that stands still until it is moved, and the engine over both."""

from collections.abc import AsyncIterator

import pytest

from boxoffice_server.domain.subscription import SubscriptionSource
from boxoffice_server.ports import Store
from boxoffice_server.subscriptions.engine import Subscriptions
from boxoffice_server.subscriptions.granting import Granting, ManualVendor
from boxoffice_server.subscriptions.linking import Linking
from boxoffice_server.vendors.app_store.reader import AppStoreReader
from tests.subscriptions.desk import Desk, StillClock
from tests.support.stores import opened_store
from tests.vendors.app_store.payloads import JANUARY_1


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    """An open store, once on each of the two."""
    async with opened_store(database) as opened:
        yield opened


@pytest.fixture
def clock() -> StillClock:
    """A clock that a test moves."""
    return StillClock(JANUARY_1)


@pytest.fixture
def desk(store: Store, clock: StillClock) -> Desk:
    """The engine with all that is around it."""
    subscriptions = Subscriptions(
        clock=clock,
        readers={
            SubscriptionSource.APP_STORE: AppStoreReader(),
            SubscriptionSource.MANUAL: ManualVendor(),
        },
    )
    return Desk(
        store=store,
        clock=clock,
        subscriptions=subscriptions,
        linking=Linking(clock=clock, subscriptions=subscriptions),
        granting=Granting(clock=clock, subscriptions=subscriptions),
    )
