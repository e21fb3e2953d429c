"""The App Store as the settings describe it: all that the service needs of it, put together."""

import asyncio

from boxoffice_server.settings import AppStoreSettings
from boxoffice_server.vendors.app_store.answers import Credentials
from boxoffice_server.vendors.app_store.client import AppStoreClient
from boxoffice_server.vendors.app_store.notifications import AppStoreNotificationSource
from boxoffice_server.vendors.app_store.recipients import App, Recipients
from boxoffice_server.vendors.app_store.submissions import AppStoreSubmissions
from boxoffice_server.vendors.app_store.verification import AppStoreVerification


class AppStore:
    """What comes from the App Store, what it can be asked, and what devices hand in of it."""

    def __init__(self, settings: AppStoreSettings) -> None:
        apps = [
            App(bundle_id=each.bundle_id, app_apple_id=each.app_apple_id) for each in settings.apps
        ]
        self._verification = verification = AppStoreVerification(
            recipients=Recipients.of(apps, settings.environments),
            root_certificates=settings.read_root_certificates,
            online=settings.online_checks,
        )
        key, credentials = settings.key, None
        if key is not None:
            credentials = Credentials(
                issuer_id=key.issuer_id,
                key_id=key.key_id,
                private_key=lambda: key.read().reveal().encode(),
            )
        self.notifications = AppStoreNotificationSource(verification)
        self.client = AppStoreClient(
            verification=verification, credentials=credentials, base=settings.api_base
        )
        self.purchases = AppStoreSubmissions(verification=verification, client=self.client)

        self._warming: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Take in Apple's library meanwhile, which the first notification would wait for."""
        self._warming = asyncio.create_task(self._verification.warm())

    async def close(self) -> None:
        """Let go of what it holds."""
        if self._warming is not None:
            await asyncio.gather(self._warming, return_exceptions=True)
        await self._verification.close()
