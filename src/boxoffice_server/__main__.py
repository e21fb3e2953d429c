"""The command line. Imports what a command needs only when it runs, for a quick start."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from boxoffice_server.domain.errors import BoxofficeError
from boxoffice_server.runtime import run, spare_what_stays
from boxoffice_server.settings import Settings, SettingsError, read_settings

if TYPE_CHECKING:
    from boxoffice_server.app import Doors
    from boxoffice_server.sandbox_process import SandboxProcess

EXIT_FAILURE = 1
EXIT_USAGE = 2
HEALTH_SECONDS = 3.0


def main(arguments: list[str] | None = None) -> int:
    """Run one command; answers the exit code."""
    options = _parser().parse_args(arguments)
    try:
        # Only `serve` has to do with Stripe; the other commands need no key.
        settings = read_settings(os.environ, sandbox=getattr(options, "sandbox", True))
        match options.command:
            case "serve":
                _check_loopback(settings, plaintext=options.plaintext)
                return run(_serve(settings, options))
            case "migrate":
                from boxoffice_server.storage import migrate  # noqa: PLC0415

                return _maintain(settings, migrate, "the database is up to date")
            case "renew-log":
                from boxoffice_server.storage import renew_log  # noqa: PLC0415

                return _maintain(settings, renew_log, "tokens from before are refused from now on")
            case "replay":
                from boxoffice_server.replay_command import replay  # noqa: PLC0415

                return replay(settings, swap=options.swap)
            case "reconcile":
                from boxoffice_server.reconcile_command import reconcile_payments  # noqa: PLC0415

                return reconcile_payments(
                    settings.grpc_address.to_call,
                    since=options.since,
                    repair=options.repair,
                    as_json=options.json,
                )
            case _:
                return _health(settings)
    except SettingsError as error:
        print(f"boxoffice: {error}", file=sys.stderr)
        return EXIT_USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="boxoffice",
        description="Payments, orders and entitlements over gRPC. Settings come from the "
        "environment; the README lists every variable.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="serve until SIGTERM")
    serve.add_argument(
        "--sandbox", action="store_true", help="with a vendor sandbox beside it, on loopback"
    )
    serve.add_argument(
        "--migrate", action="store_true", help="bring the database up to date first, if need be"
    )
    serve.add_argument(
        "--plaintext", action="store_true", help="listen beyond loopback without TLS"
    )
    commands.add_parser("migrate", help="bring the database up to date")
    commands.add_parser(
        "renew-log", help="after a backup was restored: refuse the tokens that came after it"
    )
    replay = commands.add_parser(
        "replay",
        help="work all entitlements out anew from their facts, and compare",
        description="Works all entitlements and subscription events out anew from their facts, and "
        "compares. On SQLite the service must be stopped. Ends with 0 when everything is equal or "
        "was mended, with 1 when something differs.",
    )
    replay.add_argument("--swap", action="store_true", help="write the new result where it differs")
    commands.add_parser("health", help="ask a running service whether it serves")
    reconcile = commands.add_parser(
        "reconcile", help="have a running service compare its books with a vendor's"
    )
    books = reconcile.add_subparsers(dest="books", required=True)
    payments = books.add_parser(
        "payments",
        help="payments, refunds and disputes, with Stripe's",
        description="Compares payments, refunds and disputes with Stripe's. Amounts are in the "
        "currency's minor unit. Ends with 0 when the books agree or everything was repaired, with "
        "1 when they differ or could not be compared.",
    )
    payments.add_argument(
        "--since",
        type=_time,
        required=True,
        help="compare what was made from then on: 2026-11-01 or 2026-11-01T12:00:00Z, in UTC "
        "unless it says otherwise",
    )
    payments.add_argument("--repair", action="store_true", help="repair ours; moves no money")
    payments.add_argument("--json", action="store_true", help="a JSON object per line")
    return parser


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time such as 2026-11-01 or 2026-11-01T12:00:00Z"
        ) from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _check_loopback(settings: Settings, *, plaintext: bool) -> None:
    if plaintext:
        return
    for name, address in (
        ("BOXOFFICE_GRPC_ADDRESS", settings.grpc_address),
        ("BOXOFFICE_HTTP_ADDRESS", settings.http_address),
    ):
        if not address.is_loopback:
            raise SettingsError(
                f"{name} is {address}, which others can reach, and there is no TLS: "
                "pass --plaintext if that is meant"
            )


async def _serve(settings: Settings, options: argparse.Namespace) -> int:
    from boxoffice_server.sandbox_process import SandboxError, SandboxProcess  # noqa: PLC0415

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # A second one hastens nothing: the drain has its own bound.
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    sandbox = None
    if options.sandbox and settings.uses_sandbox_key:
        if not settings.http_address.port:
            raise SettingsError("BOXOFFICE_HTTP_ADDRESS needs a port that the sandbox can post to")
        # Starts while our own imports run.
        sandbox = await SandboxProcess.start(settings)
    try:
        return await _run(settings, options, sandbox, stop)
    except SandboxError as error:
        return _fail(str(error))
    finally:
        if sandbox is not None:
            await sandbox.stop()


async def _run(
    settings: Settings,
    options: argparse.Namespace,
    sandbox: "SandboxProcess | None",
    stop: asyncio.Event,
) -> int:
    _import_structlog()
    from boxoffice_server.app import Application, StartError  # noqa: PLC0415
    from boxoffice_server.log import configure_log  # noqa: PLC0415
    from boxoffice_server.storage import SchemaOutdated, StoreLocked, migrate  # noqa: PLC0415

    configure_log()
    application = Application(settings)
    try:
        try:
            doors = await application.start()
        except SchemaOutdated:
            if not options.migrate:
                raise
            await asyncio.to_thread(migrate, settings.database_url)
            application = Application(settings)
            doors = await application.start()
    except SchemaOutdated as error:
        return _fail(f"{error}: run `boxoffice migrate`, or serve with --migrate")
    except (StartError, StoreLocked, BoxofficeError, OSError) as error:
        return _fail(_say(error))
    spare_what_stays()
    try:
        if sandbox is not None:
            await _unless_stopped(sandbox.wait_ready(), stop)
        if not stop.is_set():
            _print_doors(doors, settings, sandbox=sandbox is not None)
        await stop.wait()
    finally:
        await application.stop()
    return 0


def _import_structlog() -> None:
    """Import structlog before anything else does, and without rich.

    It takes rich in wherever that is installed, 0.05 s for what our log never does.
    """
    if "structlog" in sys.modules:
        return
    # Python's own way to say that a module is not to be found.
    sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        import structlog  # noqa: F401, PLC0415
    finally:
        del sys.modules["rich"]


async def _unless_stopped(work: Coroutine[None, None, None], stop: asyncio.Event) -> None:
    """Wait for work, but no longer than until the service is told to end."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            await working
    finally:
        working.cancel()
        stopping.cancel()


def _print_doors(doors: "Doors", settings: Settings, *, sandbox: bool) -> None:
    """Print one line per door, and calls to paste."""
    print(f"grpc {doors.grpc} SERVING")
    print(f"http {doors.http} SERVING")
    if sandbox:
        print(f"sandbox http://{settings.sandbox_address}/ SERVING")
    grpcurl = os.environ.get("BOXOFFICE_GRPCURL")
    if grpcurl is not None:
        print()
        print(
            "In another shell:"
            if grpcurl
            else "With grpcurl, which could not be installed here, in another shell:"
        )
        call = f"{grpcurl or 'grpcurl'} -plaintext"
        product = (
            '{"request_id":"first","product":{"name":"Wellness exam",'
            '"prices":[{"amount":1000,"currency_code":"eur"}]}}'
        )
        start = '{"start_position":"START_POSITION_EARLIEST"}'
        orders = f"{doors.grpc} boxoffice.orders.v1.OrdersService"
        print(f"  {call} {doors.grpc} list")
        print(f"  {call} -d '{product}' {orders}/CreateProduct")
        print(f"  {call} -d '{start}' {orders}/WatchOrders")
    sys.stdout.flush()


def _maintain(settings: Settings, work: Callable[[str], None], done: str) -> int:
    """Do work on a database that is not served meanwhile."""
    from boxoffice_server.storage import StoreLocked  # noqa: PLC0415

    try:
        work(settings.database_url)
    except (StoreLocked, BoxofficeError, OSError) as error:
        return _fail(_say(error))
    print(done)
    return 0


def _say(error: Exception) -> str:
    """Say why there is no store to start on. What an address holds is not shown."""
    if isinstance(error, BoxofficeError):
        return f"{error.message}: BOXOFFICE_DATABASE_URL says where it is"
    return str(error)


def _fail(message: str) -> int:
    print(f"boxoffice: {message}", file=sys.stderr)
    return EXIT_FAILURE


def _health(settings: Settings) -> int:
    """Ask the service on this machine; exit code 0 only if it serves."""
    import grpc  # noqa: PLC0415
    from grpc_health.v1 import health_pb2, health_pb2_grpc  # noqa: PLC0415

    with grpc.insecure_channel(str(settings.grpc_address.to_call)) as channel:
        try:
            # The stub's published types leave its methods out.
            answer = health_pb2_grpc.HealthStub(channel).Check(  # type: ignore[attr-defined]
                health_pb2.HealthCheckRequest(), timeout=HEALTH_SECONDS
            )
        except grpc.RpcError as error:
            print(error.code().name)
            return EXIT_FAILURE
    status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    print(status)
    return 0 if status == "SERVING" else EXIT_FAILURE


if __name__ == "__main__":
    sys.exit(main())
