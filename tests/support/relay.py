"""A go-between for webhooks that passes them on to a service and keeps its answers to itself."""

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from tests.support.serving import KEY, Service

WAIT_SECONDS = 15


class Relay:
    """Takes the place of a service towards Stripe: Stripe never hears what the service says."""

    def __init__(self) -> None:
        self._target = ""
        self._sent, self._answered = threading.Event(), threading.Event()
        self._closed = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        # A moment's wait for the next look whether to end is all that this costs.
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Listen no more."""
        self._closed.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def stand_between(self, service: Service) -> None:
        """Take the service's webhooks from now on."""
        self._target = service.http_address
        url = f"http://127.0.0.1:{self._server.server_port}/webhooks/stripe"
        service.stripe.sandbox.control(f"accounts/{KEY}", {"webhook_url": url})

    def wait_sent(self) -> None:
        """Wait until a webhook has been handed to the service's machine."""
        assert self._sent.wait(WAIT_SECONDS), "no webhook came"

    def wait_answered(self) -> None:
        """Wait until the service has answered that it keeps a webhook."""
        assert self._answered.wait(WAIT_SECONDS), "no webhook was answered"

    def _pass_on(self, headers: dict[str, str], body: bytes) -> None:
        service = http.client.HTTPConnection(self._target, timeout=WAIT_SECONDS)
        try:
            service.request("POST", "/webhooks/stripe", body, headers)
            self._sent.set()
            if service.getresponse().status == http.HTTPStatus.OK:
                self._answered.set()
        except OSError:
            # Killed, as it is meant to be.
            pass
        finally:
            service.close()
        self._closed.wait(WAIT_SECONDS)

    def _handler(relay: "Relay") -> type[BaseHTTPRequestHandler]:  # noqa: N805 -- `self` is the handler's
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                relay._pass_on(dict(self.headers), body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler
