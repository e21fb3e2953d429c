"""Apple's own verifier, for one app on one server.

Importing Apple's library takes a fifth of a second, which nobody waits for who starts the service:
this module is imported where it is first needed, in a thread.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from appstoreserverlibrary.models.Environment import Environment
from appstoreserverlibrary.signed_data_verifier import (
    SignedDataVerifier,
    VerificationException,
    VerificationStatus,
)

from boxoffice_server.vendors.app_store.recipients import (
    PAYLOAD,
    RENEWAL,
    TRANSACTION,
    Recipient,
    Verdict,
)

_CHECKS: Final[Mapping[str, Callable[[SignedDataVerifier, str], object]]] = {
    PAYLOAD: SignedDataVerifier.verify_and_decode_notification,
    TRANSACTION: SignedDataVerifier.verify_and_decode_signed_transaction,
    RENEWAL: SignedDataVerifier.verify_and_decode_renewal_info,
}


class Judge:
    """Says who signed something. Online it judges by today, and asks Apple's responders.

    One that asks is made anew for every question, for the library's remembers answers.
    """

    def __init__(self, roots: Sequence[bytes], recipient: Recipient, *, online: bool) -> None:
        self._verifier = SignedDataVerifier(
            list(roots),
            online,
            Environment(recipient.environment),
            recipient.app.bundle_id,
            recipient.app.app_apple_id,
        )

    def judge(self, name: str, signed: str) -> Verdict:
        """Judge what stands in the field of this name."""
        try:
            _CHECKS[name](self._verifier, signed)
        except VerificationException as error:
            match error.status:
                case (
                    VerificationStatus.INVALID_APP_IDENTIFIER
                    | VerificationStatus.INVALID_ENVIRONMENT
                ):
                    return Verdict.THEIRS
                case VerificationStatus.RETRYABLE_VERIFICATION_FAILURE:
                    return Verdict.UNANSWERED
                case _:
                    return Verdict.FORGED
        except Exception:  # noqa: BLE001 -- whatever the library's models raise
            # They come after the signature: a field is of a shape that they don't know. Whose it
            # is, and whether we can read it, our own reading says as well.
            return Verdict.OURS
        return Verdict.OURS
