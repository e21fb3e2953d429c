"""A service that is not set up for the App Store."""

from collections.abc import Iterator

import grpc
import pytest

from boxoffice.entitlements.v1 import purchases_pb2
from boxoffice.entitlements.v1.entitlements_pb2_grpc import EntitlementsServiceStub
from boxoffice.webhooks.v1.webhooks_pb2_grpc import WebhooksServiceStub
from boxoffice_server.domain.errors import Reason
from tests.support.calls import new_request_id, new_user, refused
from tests.support.doors import Doors
from tests.support.service import ServiceThread, running_service
from tests.support.stores import sqlite_url
from tests.vendors.app_store.notices import body_of, signed_payload


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceThread]:
    """Such a service."""
    with running_service(sqlite_url(tmp_path_factory.mktemp("without"))) as service:
        yield service


def test_service_without_an_app_store_says_so(without: ServiceThread) -> None:
    """At every door."""
    with grpc.insecure_channel(without.grpc_address) as channel:
        doors = Doors(url=without.http_url, webhooks=WebhooksServiceStub(channel))
        body = body_of(signed_payload())
        assert doors.post(body) == (404, Reason.SOURCE_NOT_CONFIGURED)
        with refused(Reason.SOURCE_NOT_CONFIGURED) as refusal:
            doors.deliver(body)
        assert refusal.code is grpc.StatusCode.FAILED_PRECONDITION
        with refused(Reason.SOURCE_NOT_CONFIGURED):
            EntitlementsServiceStub(channel).SubmitAppStoreTransaction(
                purchases_pb2.SubmitAppStoreTransactionRequest(
                    request_id=new_request_id(),
                    user_id=new_user(),
                    transaction_id="2",
                    actor="the app",
                )
            )
