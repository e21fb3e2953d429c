"""Strikes are carried out as planned, however fast whoever is told of one reacts."""

import asyncio

from boxoffice_server.fail_points import FailPoint
from tests.support.strikes import Deed, Plan, Striker

SECONDS = 5
PLAN = Plan(point=FailPoint.ASKED, name="ChargeUser", deed=Deed.HANG, then=Deed.NOTHING)


async def test_what_hangs_is_woken_by_whoever_hears_of_it() -> None:
    """Also where the word and the waking are faster than the hanging."""

    def tell(plan: Plan) -> None:
        assert plan == PLAN
        striker.wake()

    striker = Striker([PLAN], tell=tell)
    async with asyncio.timeout(SECONDS):
        await striker.reach_async(PLAN.point, PLAN.name)


async def test_what_hangs_is_woken_later() -> None:
    """It hangs until then."""
    struck = asyncio.Event()
    striker = Striker([PLAN], tell=lambda _: struck.set())
    reaching = asyncio.create_task(striker.reach_async(PLAN.point, PLAN.name))
    await struck.wait()
    assert not reaching.done()
    striker.wake()
    async with asyncio.timeout(SECONDS):
        await reaching
