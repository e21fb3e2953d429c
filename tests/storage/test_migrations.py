"""The schema: what migrations make of it, and what happens where it is not there or another."""

import asyncio
import subprocess
import sys
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, inspect, text

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.stream import check_position
from boxoffice_server.storage import SchemaOutdated, create_store, migrate, renew_log
from boxoffice_server.storage.postgres import _engine
from boxoffice_server.storage.schema import REVISION
from boxoffice_server.storage.tables import metadata
from tests.support.stores import opened_store, plain_encode, sqlite_url
from tools.check_migrations import differences


def constraints(connection: Connection) -> dict[str, object]:
    """Everything that compare_metadata does not look at: keys, uniqueness, checks, by name."""
    found: dict[str, object] = {}
    inspector = inspect(connection)
    for table in metadata.tables:
        found[table] = (
            inspector.get_pk_constraint(table)["name"],
            sorted(str(each["name"]) for each in inspector.get_unique_constraints(table)),
            sorted(str(each["name"]) for each in inspector.get_foreign_keys(table)),
            sorted(str(each["name"]) for each in inspector.get_check_constraints(table)),
            sorted(
                (
                    str(each["name"]),
                    [
                        f"{key}={each['dialect_options'][key]}"
                        for key in each.get("dialect_options", {})
                    ],
                )
                for each in inspector.get_indexes(table)
            ),
        )
    return found


def test_migrations_match_the_tables_on_sqlite(sqlite_database: str, tmp_path: Path) -> None:
    """A migrated file has what the code declares, names included."""
    engine = create_engine(sqlite_database)
    declared = create_engine(sqlite_url(tmp_path, "declared.db"))
    metadata.create_all(declared)
    with engine.connect() as connection, declared.connect() as other:
        assert differences(connection) == []
        assert constraints(connection) == constraints(other)
    engine.dispose()
    declared.dispose()


async def test_migrations_match_the_tables_on_postgres(
    postgres_database: str, postgres_url: str
) -> None:
    """A migrated database has what the code declares, names included."""
    engine, declared = _engine(postgres_database), _engine(postgres_url)
    async with engine.connect() as connection, declared.connect() as other:
        await other.run_sync(metadata.create_all)
        assert await connection.run_sync(differences) == []
        assert await connection.run_sync(constraints) == await other.run_sync(constraints)
    await engine.dispose()
    await declared.dispose()


async def test_store_without_a_schema_is_refused(tmp_path: Path, postgres_url: str) -> None:
    """A database that was never migrated is named as such; nothing is made in it."""
    for url in (sqlite_url(tmp_path), postgres_url):
        store = create_store(url, encode=plain_encode)
        with pytest.raises(SchemaOutdated, match=f"no revision of the schema, .* needs {REVISION}"):
            await store.open()


async def test_store_with_another_schema_is_refused(sqlite_database: str) -> None:
    """A database of another release is refused, and both revisions are told."""
    engine = create_engine(sqlite_database)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(SchemaOutdated) as caught:
        await create_store(sqlite_database, encode=plain_encode).open()
    assert (caught.value.found, caught.value.needed) == ("9999", REVISION)


async def test_migration_of_what_is_up_to_date_changes_nothing(database: str) -> None:
    """Migrating again keeps the log's id and everything in it."""
    async with opened_store(database) as store:
        before = await store.read(lambda repo: repo.log.bounds())
    await asyncio.to_thread(migrate, database)
    async with opened_store(database) as store:
        assert await store.read(lambda repo: repo.log.bounds()) == before


async def test_renewed_log_refuses_the_tokens_of_before(database: str) -> None:
    """After a restore the log is another one, so that no token leads to what is told anew."""
    await asyncio.to_thread(migrate, database)
    async with opened_store(database) as store:
        before = await store.read(lambda repo: repo.log.bounds())
    await asyncio.to_thread(renew_log, database)
    async with opened_store(database) as store:
        after = await store.read(lambda repo: repo.log.bounds())
    assert after == replace(before, log_id=after.log_id)
    with pytest.raises(BoxofficeError) as refusal:
        check_position(after, before.head_token().log_id, before.head)
    assert refusal.value.reason is Reason.LOG_CHANGED


async def test_concurrent_migrations_make_one_log(postgres_url: str) -> None:
    """Replicas that start at once take turns, and agree on the log's id."""
    await asyncio.gather(*(asyncio.to_thread(migrate, postgres_url) for _ in range(4)))
    async with opened_store(postgres_url) as one, opened_store(postgres_url) as two:
        first = await one.read(lambda repo: repo.log.bounds())
        assert first == await two.read(lambda repo: repo.log.bounds())


async def test_every_database_has_a_log_of_its_own(tmp_path: Path) -> None:
    """Two databases never share a log id, so that a token of one is refused by the other."""
    ids: set[uuid.UUID] = set()
    for name in ("one.db", "two.db"):
        url = sqlite_url(tmp_path, name)
        await asyncio.to_thread(migrate, url)
        async with opened_store(url) as store:
            ids.add((await store.read(lambda repo: repo.log.bounds())).log_id)
    assert len(ids) == 2


def test_store_on_sqlite_loads_nothing_it_does_not_need(sqlite_database: str) -> None:
    """A start on SQLite leaves out Alembic and the driver of PostgreSQL, slow to load."""
    program = """
import asyncio, sys
from boxoffice_server.storage import create_store
async def main():
    store = create_store(sys.argv[1], encode=lambda event: b"")
    await store.open()
    await store.close()
asyncio.run(main())
print(sorted({"alembic", "asyncpg", "mako"} & set(sys.modules)))
"""
    result = subprocess.run(
        [sys.executable, "-c", program, sqlite_database], capture_output=True, text=True, check=True
    )
    assert result.stdout == "[]\n"
