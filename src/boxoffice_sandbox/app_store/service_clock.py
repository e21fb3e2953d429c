"""Keeps the service's business clock at the sandbox's, so that what Apple signs is not ahead of it.

The service takes the offset at `/sandbox/clock`, from whoever has the key of its sandbox account.
"""

import aiohttp

from boxoffice_sandbox.app_store.shop import Shop

_TIMEOUT = aiohttp.ClientTimeout(total=10)
_OK = range(200, 300)


class ServiceClock:
    """Tells the offset, and tells it again to a service that was away."""

    def __init__(self, shop: Shop, *, offset_seconds: int) -> None:
        """Take whom to tell, and the offset that it has not heard yet."""
        self._shop = shop
        self._offset = offset_seconds
        # Where the service was that has heard it; empty: nobody has.
        self._told = ""

    @property
    def matters(self) -> bool:
        """Whether there is an offset at all."""
        return self._offset != 0

    @property
    def is_away(self) -> bool:
        """Whether nobody has answered yet since there was something to tell."""
        return self._told != self._shop.settings.service_url

    async def tell(self, session: aiohttp.ClientSession, offset_seconds: int) -> str | None:
        """Tell a new offset; return what went wrong, if anything."""
        self._offset, self._told = offset_seconds, ""
        return await self.catch_up(session)

    async def catch_up(self, session: aiohttp.ClientSession) -> str | None:
        """Tell the offset unless the service has it; return what went wrong, if anything."""
        settings = self._shop.settings
        if not settings.service_url or not self.is_away:
            return None
        url = f"{settings.service_url.rstrip('/')}/sandbox/clock"
        try:
            async with session.post(
                url,
                json={"offset_seconds": self._offset},
                headers={"Authorization": f"Bearer {settings.service_key}"},
                timeout=_TIMEOUT,
                allow_redirects=False,
            ) as response:
                status = response.status
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return f"{url} was not told the time: {type(error).__name__}"
        # A service that said no would say so again.
        self._told = settings.service_url
        return None if status in _OK else f"{url} did not take the time: {status}"
