"""`boxoffice replay`: works all entitlements out anew from their facts, and compares.

It opens the store itself: on PostgreSQL beside the running service, on SQLite in its place. Nothing
but this command and `reconcile` imports rich, which takes its time to import.
"""

import asyncio
import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from boxoffice_server.app import open_rebuilding
from boxoffice_server.domain.errors import BoxofficeError
from boxoffice_server.settings import Settings
from boxoffice_server.subscriptions.rebuilding import Difference, Rebuilt

EXIT_EQUAL = 0
EXIT_DIFFERENT = 1
# What shells expect of a program that Ctrl-C has ended.
EXIT_INTERRUPTED = 130

# More are counted, not shown.
MOST_SHOWN = 20


def replay(settings: Settings, *, swap: bool) -> int:
    """Rebuild, tell what differs, and answer the exit code; with `swap`, write the new result."""
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    try:
        rebuilt, differences = asyncio.run(_replay(settings, console, swap=swap))
    except BoxofficeError as error:
        print(f"boxoffice: {error.message} ({error.reason})", file=sys.stderr)
        return EXIT_DIFFERENT
    except KeyboardInterrupt:
        print("boxoffice: interrupted; it can be started again at any time", file=sys.stderr)
        return EXIT_INTERRUPTED
    _tell(console, rebuilt, differences, swap=swap)
    return EXIT_DIFFERENT if differences and not swap else EXIT_EQUAL


async def _replay(
    settings: Settings, console: Console, *, swap: bool
) -> tuple[Rebuilt, list[Difference]]:
    rebuilt, differences = Rebuilt(), list[Difference]()
    async with open_rebuilding(settings) as rebuilding:
        with _bar(console) as bar:
            task = bar.add_task("Rebuilding", total=await rebuilding.count())
            after_id = ""
            while page := await rebuilding.page(after_id):
                for lineage in page:
                    differences += await rebuilding.rebuild(lineage, rebuilt, swap=swap)
                    bar.advance(task)
                after_id = page[-1].key.id
    return rebuilt, differences


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("subscriptions", markup=False),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _tell(console: Console, rebuilt: Rebuilt, differences: list[Difference], *, swap: bool) -> None:
    for each in differences[:MOST_SHOWN]:
        console.print(f"{each.lineage_id}  {each.what}")
    if len(differences) > MOST_SHOWN:
        console.print(f"and {len(differences) - MOST_SHOWN} more")
    console.print(
        f"{rebuilt.lineages} subscriptions, {rebuilt.facts} facts: {rebuilt.entitlements} "
        f"entitlements, {rebuilt.events} events"
    )
    if not differences:
        console.print("What is kept is what follows from the facts.", style="bold green")
    elif swap:
        console.print(f"Differences mended: {len(differences)}.", style="bold green")
    else:
        console.print(
            f"Differences: {len(differences)}. Start it with --swap to mend them.",
            style="bold red",
        )
