"""A channel with the settings that fit the service's own."""

import json
from collections.abc import Mapping
from itertools import chain

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from boxoffice.entitlements.v1 import entitlements_pb2
from boxoffice.orders.v1 import orders_pb2
from boxoffice.payments.v1 import payments_pb2
from boxoffice.webhooks.v1 import webhooks_pb2

_FILES = (entitlements_pb2, orders_pb2, payments_pb2, webhooks_pb2)

OPTIONS: Mapping[str, int] = {
    # The service bears a ping every 10 s. `ping_timeout_ms` is needed beside the keepalive pair:
    # without it a server that froze went unnoticed for a minute.
    "grpc.keepalive_time_ms": 20_000,
    "grpc.keepalive_timeout_ms": 10_000,
    "grpc.http2.ping_timeout_ms": 10_000,
    "grpc.http2.max_pings_without_data": 0,
    "grpc.keepalive_permit_without_calls": 0,
    # The service takes requests up to 1 MiB.
    "grpc.max_send_message_length": 1024 * 1024,
    "grpc.max_receive_message_length": 4 * 1024 * 1024,
    # Else a process's channels to one address share one connection, and what it carries.
    "grpc.use_local_subchannel_pool": 1,
    # A service that restarts is back within seconds.
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.min_reconnect_backoff_ms": 1_000,
    "grpc.max_reconnect_backoff_ms": 5_000,
    "grpc.enable_retries": 1,
    "grpc.service_config_disable_resolution": 1,
}


def open_channel(
    address: str,
    *,
    credentials: grpc.ChannelCredentials | None = None,
    options: Mapping[str, int | str] | None = None,
) -> grpc.aio.Channel:
    """Open a channel to `host:port`; without credentials it is plaintext, for loopback only.

    Calls that may safely be sent again are, up to five times in all and only while the service is
    unavailable: reads, and writes with a request id. Streams are not: `watch_orders` and its
    siblings resume them. Each channel has a connection of its own, which carries 256 calls at a
    time, streams included; more wait. `options` add to the settings or replace them. Close it
    after use.
    """
    settings: dict[str, int | str] = {**OPTIONS, "grpc.service_config": service_config()}
    settings |= options or {}
    arguments = tuple(settings.items())
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=arguments)
    return grpc.aio.secure_channel(address, credentials, options=arguments)


def service_config() -> str:
    """Write what gRPC retries by itself, as gRPC wants it."""
    services = chain.from_iterable(file.DESCRIPTOR.services_by_name.values() for file in _FILES)
    return json.dumps(
        {
            "methodConfig": [
                {
                    "name": [name for service in services for name in _repeatable(service)],
                    "retryPolicy": {
                        "maxAttempts": 5,
                        "initialBackoff": "0.1s",
                        "maxBackoff": "5s",
                        "backoffMultiplier": 3,
                        "retryableStatusCodes": ["UNAVAILABLE"],
                    },
                }
            ],
            # When more than a few calls fail, the service is in trouble and retries make it worse.
            "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.2},
        }
    )


def _repeatable(service: ServiceDescriptor) -> list[dict[str, str]]:
    return [
        {"service": service.full_name, "method": method.name}
        for method in service.methods
        if _is_repeatable(method)
    ]


def _is_repeatable(method: MethodDescriptor) -> bool:
    if method.server_streaming or method.client_streaming:
        return False
    reads = method.name.startswith(("Get", "List", "Check", "BatchCheck"))
    return reads or "request_id" in method.input_type.fields_by_name
