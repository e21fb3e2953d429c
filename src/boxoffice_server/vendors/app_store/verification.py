"""Who signed: Apple's own verifier for every app and server of ours.

https://developer.apple.com/documentation/appstoreservernotifications/responsebodyv2. What it
verifies is read from the very text that it verified, since its objects drop unknown fields.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar, assert_never

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.vendors.app_store.online import OnlineChecks
from boxoffice_server.vendors.app_store.recipients import (
    INSIDE,
    PAYLOAD,
    RENEWAL,
    TRANSACTION,
    Opened,
    Recipient,
    Recipients,
    Verdict,
    chain_of,
    open_notification,
    open_signed,
    signed_payload,
)
from boxoffice_server.vendors.json_object import JsonObject, MalformedObjectError

if TYPE_CHECKING:
    from boxoffice_server.vendors.app_store.judge import Judge

TOLERANCE: Final = timedelta(seconds=300)
RETRY_AFTER: Final = timedelta(seconds=5)
T = TypeVar("T")

# Three signatures take some 5 ms, half of it under Python's lock: more threads would not help.
_THREADS: Final = 2


class AppStoreVerification:
    """Verifies whatever Apple signs. Its threads end with `close`.

    Chains are judged at the time of the signature, so that history holds for ever. For the
    `online` environments each chain is judged by today as well, and Apple is asked whether it was
    revoked; only what comes live goes through that. `root_certificates` reads those that are
    trusted, in DER, when they are first needed.
    """

    def __init__(
        self,
        *,
        recipients: Recipients,
        root_certificates: Callable[[], Sequence[bytes]],
        online: frozenset[str] = frozenset(),
        checks: OnlineChecks | None = None,
    ) -> None:
        self.recipients = recipients
        self._roots = root_certificates
        self._online = online
        self._checks = checks or OnlineChecks()
        self._judges: dict[Recipient, Judge] = {}
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="app-store-verify")

    async def warm(self) -> None:
        """Take in Apple's library before the first notification needs it."""
        await self._pooled(_take_in)

    async def close(self) -> None:
        """Let go of the threads."""
        await self._checks.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def notification(self, body: bytes, *, now: datetime, live: bool = True) -> Opened:
        """Verify what was posted: the outer signature, and for our apps both inner ones.

        What Apple signed for somebody else is answered as well: `Recipients.stranger` tells.
        Raises SIGNATURE_INVALID, TIMESTAMP_OUT_OF_TOLERANCE, NOTIFICATION_MALFORMED or
        VENDOR_UNAVAILABLE.
        """
        with _refusing():
            opened = await self._pooled(lambda: self._open(signed_payload(body)))
            _check_time(opened.payload, now)
            recipient, _ = self.recipients.addressee(opened.payload)
            if live and recipient is not None:
                await self._check_online(recipient, opened.signatures)
        return opened

    async def transaction(self, signed: str, *, now: datetime, live: bool = False) -> JsonObject:
        """Verify a signed transaction of one of our apps. Raises as `notification` does.

        One that is not for us is SIGNATURE_INVALID: nothing here vouches for it.
        """
        return await self._single(TRANSACTION, signed, now=now, live=live)

    async def renewal(self, signed: str, *, now: datetime, live: bool = False) -> JsonObject:
        """Verify a signed renewal info, which names no app: it must be on a server of ours."""
        return await self._single(RENEWAL, signed, now=now, live=live)

    async def _single(self, name: str, signed: str, *, now: datetime, live: bool) -> JsonObject:
        with _refusing():
            recipient = self._recipient(name, signed)
            if recipient is None:
                raise _wrong_signature("it is not of an app and environment that are served here")
            await self._pooled(lambda: self._must_hold(recipient, name, signed))
            told = open_signed(signed)
            _check_time(told, now)
            if live:
                await self._check_online(recipient, {name: signed})
        return told

    def _recipient(self, name: str, signed: str) -> Recipient | None:
        """Tell for whom a transaction or renewal info is; the latter is for any app of ours."""
        try:
            told = open_signed(signed)
            bundle_id, environment = told.text("bundleId"), told.text("environment")
        except MalformedObjectError:
            return None
        if name == RENEWAL:
            bundle_id = self.recipients.all[0].app.bundle_id
        return self.recipients.find(bundle_id, environment)

    def _open(self, signed: str) -> Opened:
        """Open a notification once its signatures hold: the inner ones only where it is for us."""
        recipient = self._addressee(signed)
        judge = self._judge(recipient or self.recipients.all[0])
        is_ours = _is_ours(judge.judge(PAYLOAD, signed))
        opened = open_notification(signed)
        if recipient is None:
            return opened
        for name in INSIDE:
            inside = opened.signatures.get(name)
            if inside is not None:
                is_ours &= _is_ours(judge.judge(name, inside))
        if not is_ours and not self.recipients.stranger(opened):
            # Apple's verifier and our own reading must never disagree on whose it is.
            raise _wrong_signature("it is not for an app and environment that are served here")
        return opened

    def _addressee(self, signed: str) -> Recipient | None:
        """Guess whose verifier to ask, before anything is known to be signed."""
        try:
            return self.recipients.addressee(open_signed(signed))[0]
        except MalformedObjectError:
            return None

    def _must_hold(self, recipient: Recipient, name: str, signed: str) -> None:
        if not _is_ours(self._judge(recipient).judge(name, signed)):
            raise _wrong_signature("it is not of an app and environment that are served here")

    async def _check_online(self, recipient: Recipient, signatures: Mapping[str, str]) -> None:
        """Have each chain judged by today and by Apple's responders, where that is asked for."""
        if recipient.environment not in self._online:
            return
        chains = {chain_of(signed): (name, signed) for name, signed in signatures.items()}
        for chain, (name, signed) in chains.items():
            try:
                await self._checks.check(chain, partial(self._ask, recipient, name, signed))
            except (_UnansweredError, TimeoutError) as error:
                raise _unavailable() from error

    def _ask(self, recipient: Recipient, name: str, signed: str) -> None:
        """Ask Apple's responders, in a thread that may wait for them."""
        _is_ours(self._made(recipient, online=True).judge(name, signed))

    def _judge(self, recipient: Recipient) -> "Judge":
        judge = self._judges.get(recipient)
        if judge is None:
            judge = self._judges[recipient] = self._made(recipient, online=False)
        return judge

    def _made(self, recipient: Recipient, *, online: bool) -> "Judge":
        from boxoffice_server.vendors.app_store.judge import Judge  # noqa: PLC0415

        return Judge(self._roots(), recipient, online=online)

    async def _pooled(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _take_in() -> None:
    from boxoffice_server.vendors.app_store import connection, judge  # noqa: F401, PLC0415


class _UnansweredError(Exception):
    """Apple's responders could not be asked, or gave no answer."""


def _is_ours(verdict: Verdict) -> bool:
    """Tell whether what Apple signed is for us; refuses what Apple did not sign."""
    match verdict:
        case Verdict.OURS:
            return True
        case Verdict.THEIRS:
            return False
        case Verdict.FORGED:
            raise _wrong_signature("the signature is not Apple's")
        case Verdict.UNANSWERED:
            raise _UnansweredError
        case _:
            assert_never(verdict)


def _check_time(told: JsonObject, now: datetime) -> None:
    if told.milliseconds("signedDate") > now + TOLERANCE:
        seconds = int(TOLERANCE.total_seconds())
        raise BoxofficeError(
            Reason.TIMESTAMP_OUT_OF_TOLERANCE,
            f"it was signed more than {seconds} s after now",
            metadata={"tolerance_seconds": str(seconds)},
        )


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except MalformedObjectError as error:
        raise malformed(str(error)) from error


def malformed(fault: str) -> BoxofficeError:
    """Refuse what can't be read."""
    return BoxofficeError(
        Reason.NOTIFICATION_MALFORMED,
        f"it is nothing that the App Store sends: {fault}",
        metadata={"fault": fault},
    )


def _wrong_signature(message: str) -> BoxofficeError:
    return BoxofficeError(Reason.SIGNATURE_INVALID, message)


def _unavailable() -> BoxofficeError:
    return BoxofficeError(
        Reason.VENDOR_UNAVAILABLE,
        "Apple could not be asked whether its certificates still hold",
        retry_after=RETRY_AFTER,
    )
