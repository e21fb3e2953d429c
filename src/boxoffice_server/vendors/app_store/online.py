"""Online checks: asking Apple's responders whether a chain of certificates was revoked.

Apple's library asks inside its verification, up to half a minute for each certificate, and every
thread that verifies asks for itself until one has an answer. Here each chain is asked for once,
whoever waits for it, apart from the threads that verify.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final, TypeVar

T = TypeVar("T")

# As long as Apple's library itself believes an answer.
BELIEVED_FOR: Final = timedelta(minutes=15)
PATIENCE: Final = timedelta(seconds=5)


class OnlineChecks:
    """Remembers the chains that were found good, and asks about others once at a time."""

    def __init__(
        self,
        *,
        patience: timedelta = PATIENCE,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patience = patience
        self._monotonic = monotonic
        self._good_until: dict[tuple[str, ...], float] = {}
        self._asked: dict[tuple[str, ...], asyncio.Future[None]] = {}

    async def check(self, chain: tuple[str, ...], ask: Callable[[], object]) -> None:
        """Return if the chain is good. Raises what `ask` raises, or TimeoutError.

        What takes longer than our patience goes on, and the next one to come waits for the same.
        """
        if self._good_until.get(chain, 0.0) > self._monotonic():
            return
        asked = self._asked.get(chain)
        if asked is None:
            asked = self._asked[chain] = asyncio.ensure_future(self._ask(chain, ask))
            # An answer that nobody waits for any more is no fault.
            asked.add_done_callback(lambda done: done.cancelled() or done.exception())
        async with asyncio.timeout(self._patience.total_seconds()):
            await asyncio.shield(asked)

    async def close(self) -> None:
        """Wait for no answer any more."""
        for asked in list(self._asked.values()):
            asked.cancel()
        await asyncio.gather(*self._asked.values(), return_exceptions=True)

    async def _ask(self, chain: tuple[str, ...], ask: Callable[[], object]) -> None:
        try:
            await in_thread(ask)
        finally:
            del self._asked[chain]
        now = self._monotonic()
        self._good_until = {each: until for each, until in self._good_until.items() if until > now}
        self._good_until[chain] = now + BELIEVED_FOR.total_seconds()


async def in_thread(work: Callable[[], T]) -> T:
    """Do what may take long in a thread that nobody waits for when the process ends."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(answer: T | None, error: Exception | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(answer)  # type: ignore[arg-type]

    def run() -> None:
        try:
            answer, error = work(), None
        except Exception as raised:  # noqa: BLE001 -- raised again by who awaits
            answer, error = None, raised
        try:
            loop.call_soon_threadsafe(tell, answer, error)
        except RuntimeError:
            # The loop was closed: nobody waits any more.
            return

    threading.Thread(target=run, name="app-store", daemon=True).start()
    return await done
