"""The command line: `serve`, and what customers and their banks do."""

import argparse
import asyncio
import logging
import sys
from pathlib import Path
from urllib.parse import urlsplit

from boxoffice_sandbox import buttons
from boxoffice_sandbox.accounts import DEFAULT_SERVICE_KEY, DEFAULT_WEBHOOK_SECRET


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parsed = _parser().parse_args(arguments)
    if parsed.command == "serve":
        return _serve(parsed)
    return buttons.run(parsed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="boxoffice-sandbox",
        description="A stand-in for Stripe and the App Store, for development and tests.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="run the sandbox")
    serve.add_argument(
        "--address", type=_address, default=("127.0.0.1", 12111), metavar="HOST:PORT"
    )
    serve.add_argument(
        "--database", type=Path, default=Path("boxoffice-sandbox.db"), help="its SQLite file"
    )
    serve.add_argument(
        "--webhook-url",
        default="http://127.0.0.1:8080/webhooks/stripe",
        help="where events go; empty for nowhere",
    )
    serve.add_argument("--webhook-secret", default=DEFAULT_WEBHOOK_SECRET, help="what signs them")
    serve.add_argument("--seed", help="give the same ids for the same script")
    serve.add_argument("--frozen-time", type=int, metavar="EPOCH", help="stop the clock here")
    serve.add_argument(
        "--exit-on-stdin-close", action="store_true", help="end when standard input ends"
    )
    _add_app_store(serve)
    buttons.add_commands(commands)
    return parser


def _add_app_store(serve: argparse.ArgumentParser) -> None:
    serve.add_argument(
        "--service-url",
        metavar="URL",
        help="the service's HTTP port, where the App Store's notifications go and whose clock "
        "moves with this one; where the webhooks go unless told otherwise, empty for nowhere",
    )
    serve.add_argument(
        "--service-key",
        default=DEFAULT_SERVICE_KEY,
        metavar="KEY",
        help="the Stripe key that the service has here, which moves its clock",
    )
    serve.add_argument(
        "--app-store-environment", choices=("Sandbox", "Production"), default="Sandbox"
    )
    serve.add_argument(
        "--app-store-root-file",
        type=Path,
        metavar="FILE",
        help="write the root certificate of the App Store there, in DER",
    )
    serve.add_argument(
        "--app-store-key-file",
        type=Path,
        metavar="FILE",
        help="write the private key of the App Store Server API there, in PEM",
    )


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit():
        message = f"{text} is not host:port"
        raise argparse.ArgumentTypeError(message)
    return host.strip("[]"), int(port)


def _serve(parsed: argparse.Namespace) -> int:
    # Only this command needs the server, and the buttons are to answer at once.
    from boxoffice_sandbox.app_store.server import AppStoreOptions  # noqa: PLC0415
    from boxoffice_sandbox.app_store.settings import AppStoreSettings  # noqa: PLC0415
    from boxoffice_sandbox.server import Options, serve  # noqa: PLC0415

    logging.basicConfig(level=logging.WARNING, format="sandbox %(levelname)s %(message)s")
    host, port = parsed.address
    options = Options(
        database=parsed.database,
        host=host,
        port=port,
        webhook_url=parsed.webhook_url,
        webhook_secret=parsed.webhook_secret,
        seed=parsed.seed,
        frozen_time=parsed.frozen_time,
        app_store=AppStoreOptions(
            root_file=parsed.app_store_root_file,
            key_file=parsed.app_store_key_file,
            settings=AppStoreSettings(
                environment=parsed.app_store_environment,
                service_url=_service_url(parsed),
                service_key=parsed.service_key,
            ),
        ),
    )
    try:
        asyncio.run(serve(options, watch_stdin=parsed.exit_on_stdin_close))
    except OSError as error:
        sys.stderr.write(f"boxoffice-sandbox: {error}\n")
        return 1
    return 0


def _service_url(parsed: argparse.Namespace) -> str:
    """Return the given address, else that of the service to which Stripe's webhooks go."""
    if parsed.service_url is not None:
        return str(parsed.service_url)
    webhook = urlsplit(parsed.webhook_url)
    return f"{webhook.scheme}://{webhook.netloc}" if webhook.netloc else ""


if __name__ == "__main__":
    sys.exit(main())
