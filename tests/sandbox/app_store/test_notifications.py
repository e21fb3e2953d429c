"""Signed notifications of the life of subscriptions, judged by Apple's own library."""

import pytest
from appstoreserverlibrary.models.Environment import Environment
from appstoreserverlibrary.models.NotificationTypeV2 import NotificationTypeV2
from appstoreserverlibrary.models.Status import Status
from appstoreserverlibrary.models.Subtype import Subtype
from appstoreserverlibrary.signed_data_verifier import SignedDataVerifier, VerificationException

from boxoffice_sandbox.app_store import purchases, trust
from boxoffice_sandbox.app_store.notifications import APP_APPLE_ID, signed_notification
from boxoffice_sandbox.store import Store
from tests.sandbox.app_store.stories import Story, at

BUNDLE = "com.example.boxoffice"
TOKEN = "8f0b8b1e-1c7a-4d58-9f57-0f0f4f5f6f7f"
CHAIN = trust.load(Store(":memory:"), ocsp_url="http://127.0.0.1:9/ocsp")
JUDGES = {
    environment.value: SignedDataVerifier(
        [CHAIN.root.der],
        enable_online_checks=False,
        environment=environment,
        bundle_id=BUNDLE,
        app_apple_id=APP_APPLE_ID,
    )
    for environment in (Environment.SANDBOX, Environment.PRODUCTION)
}


@pytest.mark.parametrize("environment", JUDGES)
def test_everything_in_a_notification_is_verified(environment: str) -> None:
    """The payload and both that are signed in it, with all fields that the library knows."""
    story = Story()
    purchases.buy(
        story.moment(at("0101")),
        "premium_monthly",
        environment=environment,
        app_account_token=TOKEN,
        offer="spring",
    )
    payload = signed_notification(story.last, CHAIN.sign, uuid="u-1", signed_at=at("0101") + 7)
    judge = JUDGES[environment]
    told = judge.verify_and_decode_notification(payload)
    assert told.notificationType is NotificationTypeV2.SUBSCRIBED
    assert told.subtype is Subtype.INITIAL_BUY
    assert (told.notificationUUID, told.version) == ("u-1", "2.0")
    assert told.data is not None
    assert told.data.status is Status.ACTIVE
    assert told.data.signedTransactionInfo is not None
    assert told.data.signedRenewalInfo is not None
    bought = judge.verify_and_decode_signed_transaction(told.data.signedTransactionInfo)
    assert bought.appAccountToken == TOKEN
    assert bought.offerIdentifier == "spring"
    assert bought.signedDate == told.signedDate == at("0101") + 7
    renewal = judge.verify_and_decode_renewal_info(told.data.signedRenewalInfo)
    assert renewal.autoRenewProductId == "premium_monthly"
    assert renewal.renewalPrice == 4_990
    assert renewal.rawEnvironment == bought.rawEnvironment == environment
    other = next(it for name, it in JUDGES.items() if name != environment)
    with pytest.raises(VerificationException):
        other.verify_and_decode_notification(payload)
