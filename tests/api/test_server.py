"""The server itself: what waits in it while nobody calls."""

import asyncio
from pathlib import Path

from boxoffice_server.app import Application
from boxoffice_server.storage import migrate
from tests.support.service import service_settings
from tests.support.stores import sqlite_url, until


async def test_one_task_waits_for_the_next_call(tmp_path: Path) -> None:
    """Not one for each method: every call would begin and end to wait for all of them."""
    url = sqlite_url(tmp_path)
    migrate(url)
    application = Application(service_settings(url))
    await application.start()

    async def is_waiting() -> bool:
        return bool(_waiting())

    await until(is_waiting)
    waiting = _waiting()
    await application.stop()
    assert waiting == ["AioServer._request_call"]


def _waiting() -> list[str]:
    names = (getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks())
    return [name for name in names if "._request_" in name]
