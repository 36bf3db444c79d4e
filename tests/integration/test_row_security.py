"""Row-level security: rows that `as_user` hides and writes that it refuses."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import asyncpg
import pytest

from agentrows import (
    Aborted,
    ConfigError,
    Conflict,
    InvalidReference,
    InvalidValue,
    MigrationFailed,
    NotFound,
    OwnedByAnother,
    PostgresClient,
    Settings,
    Transaction,
    init_connection,
    migrate,
)
from agentrows.migrate import Migrator
from policy.checks.owner_scope import LINKS
from support.methods import call, in_order
from support.stores import count, event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from support.postgres import Server

SETTINGS: Final = Settings(row_security=True)
SINGLE: Final = Settings(row_security=True, pool_max_size=1, acquire_timeout_s=5)
TRACKS: Final = migrate.builtin_tracks(row_security=True)
ROLE: Final = f"guarded_{os.getpid()}"
GRANTS: Final = f"""
GRANT ALL ON ALL TABLES IN SCHEMA public TO {ROLE};
GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {ROLE};
GRANT CREATE ON SCHEMA public TO {ROLE};
"""
EVERY_TABLE: Final = """
    SELECT relname::text FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
        AND relname !~ 'schema_migrations'
        AND relname NOT IN ('agent', 'agentrows_app_state', 'tool', 'toolserver')
    ORDER BY relname
"""


@pytest.fixture(scope="module")
def guarded_template(server: Server, template: str) -> Iterator[str]:
    """The name of a database with the policies and a role that they apply to."""
    name = server.create_database(template)
    asyncio.run(Migrator(server.dsn(name), TRACKS).up())
    server.execute(f"CREATE ROLE {ROLE} LOGIN")
    server.execute(GRANTS, database=name)
    yield name
    server.drop_database(name)
    server.execute(f"DROP ROLE {ROLE}")


@pytest.fixture
def guarded(server: Server, guarded_template: str) -> Iterator[str]:
    """The name of a separate database with the policies."""
    name = server.create_database(guarded_template)
    yield name
    server.drop_database(name)


def as_role(server: Server, database: str, role: str = ROLE) -> str:
    return server.dsn(database).replace("//postgres:", f"//{role}:")


@pytest.fixture
async def client(server: Server, guarded: str) -> AsyncIterator[PostgresClient]:
    """A client with a role that the policies apply to, and rows of two users."""
    dsn = as_role(server, guarded)
    async with PostgresClient.open(dsn, settings=SINGLE, migrations="off") as client:
        for user in ("mira", "juno"):
            await client.store_session("s-1", user_id=user, name=f"of {user}")
            await client.store_events([event(f"e-{user}", user_id=user)])
            await client.store_task(f"k-{user}", user_id=user, data="{}", session_id="s-1")
            await client.store_push_notification(
                "c-1", task_id=f"k-{user}", user_id=user, data=f"of {user}"
            )
        yield client


@pytest.fixture
async def superuser(server: Server, guarded: str) -> AsyncIterator[asyncpg.Connection]:
    """A role that is exempt from the policies."""
    connection = await asyncpg.connect(server.dsn(guarded))
    await init_connection(connection)
    yield connection
    await connection.close()


async def names(tx: Transaction | PostgresClient) -> list[object]:
    """Return the users of the sessions that a statement without WHERE returns."""
    return [row[0] for row in await tx.db.fetch("SELECT user_id FROM session ORDER BY user_id")]


async def test_statement_without_where_is_restricted_to_the_user(
    client: PostgresClient, superuser: asyncpg.Connection
) -> None:
    async with client.as_user("mira") as tx:
        assert await names(tx) == ["mira"]
        for table in ("session", "event", "task", "push_notification"):
            assert await tx.db.fetchval(f"SELECT count(*) FROM {table}") == 1  # noqa: S608
        assert await tx.db.execute("UPDATE session SET name = 'changed'") == "UPDATE 1"
        assert await tx.db.execute("DELETE FROM push_notification") == "DELETE 1"
        assert await tx.db.execute("DELETE FROM event") == "DELETE 1"
    assert await names(client) == ["juno", "mira"]
    assert await superuser.fetchval("SELECT name FROM session WHERE user_id = 'juno'") == "of juno"
    assert await count(superuser, "event") == await count(superuser, "push_notification") == 1


async def test_function_called_as_user_runs_again_after_a_lost_connection(
    client: PostgresClient, superuser: asyncpg.Connection
) -> None:
    pids: list[object] = []

    async def rename(tx: Transaction) -> list[object]:
        pids.append(await tx.db.fetchval("SELECT pg_backend_pid()"))
        await tx.store_session("s-1", user_id="mira", name=f"attempt {len(pids)}")
        if len(pids) == 1:
            await superuser.execute("SELECT pg_terminate_backend($1, 5000)", pids[0])
        return await names(tx)

    assert await client.call_as_user("mira", rename) == ["mira"]
    assert len(set(pids)) == 2
    assert (await client.get_session("s-1", user_id="mira")).name == "attempt 2"


async def test_joins_views_and_functions_are_restricted_to_the_user(
    client: PostgresClient,
) -> None:
    await client.db.execute("CREATE VIEW everything AS SELECT user_id FROM session")
    await client.db.execute(
        "CREATE FUNCTION users() RETURNS bigint LANGUAGE sql SECURITY DEFINER"
        " AS 'SELECT count(DISTINCT user_id) FROM session'"
    )
    async with client.as_user("mira") as tx:
        for query in (
            "SELECT count(DISTINCT user_id) FROM everything",
            "SELECT users()",
            "SELECT count(DISTINCT s.user_id) FROM event AS e JOIN session AS s USING (user_id)",
            "WITH s AS MATERIALIZED (SELECT * FROM session) SELECT count(*) FROM s",
            "SELECT count(*) FROM (TABLE session UNION TABLE session) AS s",
            "SELECT count(*) FROM session TABLESAMPLE SYSTEM (100)",
            "SELECT count(*) FROM ONLY session",
        ):
            assert await tx.db.fetchval(query) == 1, query
    assert await client.db.fetchval("SELECT users()") == 2


async def test_superuser_view_returns_all_rows_unless_security_invoker(
    client: PostgresClient, superuser: asyncpg.Connection
) -> None:
    await superuser.execute("CREATE VIEW loose AS SELECT user_id FROM session")
    await superuser.execute(
        "CREATE VIEW strict WITH (security_invoker) AS SELECT user_id FROM session"
    )
    await superuser.execute(f"GRANT SELECT ON loose, strict TO {ROLE}")
    async with client.as_user("mira") as tx:
        assert await tx.db.fetchval("SELECT count(*) FROM loose") == 2
        assert await tx.db.fetchval("SELECT count(*) FROM strict") == 1


async def test_row_of_another_user_is_refused(client: PostgresClient) -> None:
    for statement in (
        "INSERT INTO session (id, user_id) VALUES ('s-2', 'juno')",
        "UPDATE session SET user_id = 'juno' WHERE id = 's-1'",
        (
            "INSERT INTO session (id, user_id) VALUES ('s-1', 'juno')"
            " ON CONFLICT (id, user_id) DO UPDATE SET name = 'stolen'"
        ),
        "INSERT INTO push_notification (id, task_id, data) VALUES ('c-9', 'k-juno', '')",
        "INSERT INTO task (id, data) VALUES ('k-9', '')",
    ):
        with pytest.raises(OwnedByAnother):
            async with client.as_user("mira") as tx:
                await tx.db.execute(statement)
    with pytest.raises(OwnedByAnother):
        async with client.as_user("mira") as tx:
            await tx.store_events([event("e-2"), event("e-2", user_id="juno")])
    assert await client.db.fetchval("SELECT count(*) FROM session WHERE name = 'of juno'") == 1
    assert await client.db.fetchval("SELECT count(*) FROM event") == 2


async def test_batches_and_prepared_statements_are_restricted_per_transaction(
    client: PostgresClient,
) -> None:
    insert = "INSERT INTO feedback (user_id, feedback_text) VALUES ($1, 'x')"
    for user in ("mira", "juno") * 6:  # past the fifth time the plan is a generic one
        async with client.as_user(user) as tx:
            assert await names(tx) == [user]
            await tx.db.executemany(insert, [(user,), (user,)])
        with pytest.raises(OwnedByAnother):
            async with client.as_user(user) as tx:
                await tx.db.executemany(insert, [(user,), ("kim",)])
    assert await client.db.fetchval("SELECT count(*) FROM feedback") == 24


async def test_copy_from_is_refused_and_copy_to_is_restricted_to_the_user(
    client: PostgresClient, server: Server, guarded: str
) -> None:
    for scope in (client.as_user("mira"), client.transaction()):
        with pytest.raises(asyncpg.FeatureNotSupportedError, match="row-level security"):
            async with scope as tx:
                await tx.db.copy_records_to_table(
                    "session", records=[("s-9", "juno")], columns=["id", "user_id"]
                )
    connection = await asyncpg.connect(as_role(server, guarded))
    out: list[bytes] = []

    async def take(data: bytes) -> None:
        out.append(data)

    async with connection.transaction():
        await connection.execute("SELECT set_config('agentrows.user_id', 'mira', true)")
        await connection.copy_from_table("session", output=take, columns=["user_id"])
    await connection.close()
    assert b"".join(out) == b"mira\n"


async def test_cursor_is_restricted_to_the_user(client: PostgresClient) -> None:
    async with client.as_user("mira") as tx:
        assert [row[0] async for row in tx.db.cursor("SELECT user_id FROM event")] == ["mira"]
        found = tx.stream_events_for_session("s-1", user_id="juno")
        assert [each async for each in found] == []


async def test_user_stays_set_after_savepoint_or_its_rollback(
    client: PostgresClient,
) -> None:
    async with client.as_user("mira") as tx:
        async with tx.db.transaction() as inner:
            assert await inner.fetchval("SELECT count(*) FROM session") == 1
        with pytest.raises(OwnedByAnother):
            async with tx.db.transaction() as inner:
                await inner.execute("INSERT INTO session (id, user_id) VALUES ('s-2', 'juno')")
        assert await names(tx) == ["mira"]
        assert await tx.with_timeout(5).list_sessions(user_id="juno") == []


async def test_pooled_connection_has_no_user_after_the_block(
    client: PostgresClient,
) -> None:
    backend = "SELECT pg_backend_pid()"
    pid = await client.db.fetchval(backend)

    class OfTheCaller(Exception):
        pass

    async def end(how: str) -> None:
        async with client.as_user("mira") as tx:
            assert await tx.db.fetchval(backend) == pid
            if how == "raise":
                raise OfTheCaller
            if how == "fail":
                await tx.db.fetch("SELECT 1 / 0")
            if how == "cancel":
                asyncio.get_running_loop().call_soon(task.cancel)
                await asyncio.Event().wait()

    for how, raised in (
        ("commit", None),
        ("raise", OfTheCaller),
        ("fail", InvalidValue),
        ("cancel", asyncio.CancelledError),
    ):
        task = asyncio.ensure_future(end(how))
        if raised:
            with pytest.raises(raised):
                await task
        else:
            await task
        assert await names(client) == ["juno", "mira"], how
        assert await client.db.fetchval(backend) == pid
        async with client.as_user("juno") as tx:
            assert await names(tx) == ["juno"]


async def test_concurrent_users_on_small_pool_see_their_own_rows(
    server: Server, guarded: str
) -> None:
    settings = Settings(row_security=True, pool_max_size=3)
    dsn = as_role(server, guarded)
    async with PostgresClient.open(dsn, settings=settings, migrations="off") as client:

        async def work(user: str) -> None:
            async with client.as_user(user) as tx:
                await tx.store_session("s-1", user_id=user)
                assert await names(tx) == [user]
                await asyncio.sleep(0)
                assert await names(tx) == [user]

        await asyncio.gather(*(work(f"u-{number}") for number in range(40)))
        assert len(await names(client)) == 40


async def test_empty_user_id_is_refused_by_as_user(
    client: PostgresClient,
) -> None:
    for user in ("", "a\0b", "\ud800", "x" * 513, None, 7):
        with pytest.raises(InvalidValue, match="user_id"):
            async with client.as_user(user):  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
                pass
    for user in ("' OR true --", "mira' ; RESET agentrows.user_id; --", "*", "%", " mira"):
        async with client.as_user(user) as tx:
            assert await names(tx) == []


async def test_policies_apply_to_the_table_owner(
    client: PostgresClient, superuser: asyncpg.Connection
) -> None:
    for table in await superuser.fetch(EVERY_TABLE):
        await superuser.execute(f"ALTER TABLE {table[0]} OWNER TO {ROLE}")
    async with client.as_user("mira") as tx:
        assert await names(tx) == ["mira"]
    share = await client.create_session_share("s-1", user_id="mira")
    await client.record_share_access(share.token, user_id="juno")
    async with client.as_user("mira") as tx:  # the cascade is the server's, which no policy stops
        assert await tx.delete_session_share(share.token, user_id="mira")
    assert await count(superuser, "session_share_access") == 0


@pytest.mark.parametrize("attribute", ["SUPERUSER", "BYPASSRLS"])
async def test_role_exempt_from_policies_raises_config_error(
    server: Server, guarded: str, superuser: asyncpg.Connection, attribute: str
) -> None:
    role = f"{attribute.lower()}_{os.getpid()}"
    await superuser.execute(f"CREATE ROLE {role} LOGIN {attribute}")
    await superuser.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    dsn = as_role(server, guarded, role)
    async with PostgresClient.open(dsn, settings=SETTINGS, migrations="off") as client:
        with pytest.raises(ConfigError, match=r"memory, .*session.*BYPASSRLS"):
            async with client.as_user("mira"):
                pytest.fail("the block must not run")
    await superuser.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_table_with_disabled_policy_is_named(
    client: PostgresClient, superuser: asyncpg.Connection
) -> None:
    await superuser.execute("ALTER TABLE memory DISABLE ROW LEVEL SECURITY")
    with pytest.raises(ConfigError, match="on memory:"):
        async with client.as_user("mira"):
            pytest.fail("the block must not run")


async def test_as_user_without_setting_or_track_raises_error(
    server: Server, guarded: str, migrated: str
) -> None:
    for dsn, settings in ((as_role(server, guarded), Settings()), (migrated, SETTINGS)):
        async with PostgresClient.open(dsn, settings=settings, migrations="off") as client:
            with pytest.raises(ConfigError, match="rls"):
                async with client.as_user("mira"):
                    pytest.fail("the block must not run")


async def test_unscoped_role_can_be_denied_all_rows(
    server: Server, guarded: str, client: PostgresClient, superuser: asyncpg.Connection
) -> None:
    await superuser.execute("UPDATE task SET user_id = '' WHERE id = 'k-juno'")
    strict = f"strict_{os.getpid()}"
    await superuser.execute(f"CREATE ROLE {strict} LOGIN IN ROLE {ROLE}")
    await superuser.execute(f"ALTER ROLE {strict} SET agentrows.unscoped = 'deny'")
    for dsn in (
        as_role(server, guarded, strict),
        f"{as_role(server, guarded)}&agentrows.unscoped=deny",
    ):
        async with PostgresClient.open(dsn, settings=SINGLE, migrations="off") as denied:
            for _ in range(2):  # before a user was ever set on the connection, and after
                assert await names(denied) == []
                assert await denied.db.fetch("SELECT * FROM task") == []
                with pytest.raises(OwnedByAnother):
                    await denied.store_session("s-2", user_id="mira")
                async with denied.as_user("mira") as tx:
                    assert await names(tx) == ["mira"]
                    assert len([line async for line in tx.export_user("mira")]) == 4
                for method in ("export_user", "erase_user", "prune_expired_sessions"):
                    with pytest.raises(ConfigError, match=f"{method} would see no row"):
                        await call(denied, method, dict(in_order())[method])
    assert await names(client) == ["juno", "mira"]
    await superuser.execute(f"DROP ROLE {strict}")


OF_ALL_USERS: Final = (
    "copy_memories",
    "erase_user",
    "prune",
    "prune_expired_sessions",
    "prune_idle_threads",
    "prune_task_events",
)


async def test_every_method_works_in_as_user_without_rows_of_others(
    client: PostgresClient, superuser: asyncpg.Connection
) -> None:
    for method, arguments in in_order():
        try:
            if method in OF_ALL_USERS:
                continue
            async with client.as_user("mira") as tx:
                answer = await call(tx, method, arguments)
            assert "juno" not in repr(answer), method
        except (Conflict, InvalidReference, NotFound):
            assert method.startswith(("get", "record")), method
    assert await count(superuser, "session", "user_id = 'juno' AND deleted_at IS NULL") == 1


async def test_methods_for_all_users_are_refused_in_as_user(client: PostgresClient) -> None:
    for method in OF_ALL_USERS:
        arguments = dict(in_order())[method]
        with pytest.raises(InvalidValue, match=f"{method} needs the rows of every user"):
            async with client.as_user("mira") as tx:
                await call(tx, method, arguments)
        await call(client, method, arguments)


async def test_task_without_owner_is_hidden_in_as_user(
    client: PostgresClient, superuser: asyncpg.Connection
) -> None:
    """The sessions of one user do not show whether other users had the same session id."""
    await superuser.execute("UPDATE task SET user_id = NULL")
    async with client.as_user("mira") as tx:
        for task in ("k-mira", "k-juno"):
            with pytest.raises(NotFound):
                await tx.get_task(task, user_id="mira")
        assert await tx.list_tasks_for_session("s-1", user_id="mira") == []


async def test_share_of_another_user_opens_only_outside_as_user(
    client: PostgresClient,
) -> None:
    share = await client.create_session_share("s-1", user_id="juno")
    async with client.as_user("mira") as tx:
        with pytest.raises(NotFound):
            await tx.get_session_share_by_token(share.token)
    assert (await client.get_session_share_by_token(share.token)).user_id == "juno"


async def test_failed_statement_ends_transaction_and_reveals_nothing(
    client: PostgresClient,
) -> None:
    with pytest.raises(Aborted):
        async with client.as_user("mira") as tx:
            with pytest.raises(OwnedByAnother) as raised:
                await tx.db.execute("UPDATE session SET user_id = 'juno'")
            assert "of juno" not in str(raised.value)
            await names(tx)


async def test_every_user_table_has_the_same_forced_policy(
    superuser: asyncpg.Connection,
) -> None:
    found = await superuser.fetch(
        "SELECT relname, relrowsecurity, relforcerowsecurity, polname, polcmd::text, polpermissive,"
        " pg_get_expr(polqual, polrelid) AS rule, polwithcheck IS NULL AS checks_the_same"
        " FROM pg_class LEFT JOIN pg_policy ON polrelid = pg_class.oid"
        " WHERE relname = ANY ($1)",
        [row[0] for row in await superuser.fetch(EVERY_TABLE)],
    )
    assert {(*tuple(row)[1:6], row["checks_the_same"]) for row in found} == {
        (True, True, "agentrows_owner", "*", True, True)
    }, "add a policy for each new table in a file of the track rls, as its other files do"
    assert len({row["rule"] for row in found if row["relname"] not in LINKS}) == 1
    assert len(found) == 26, "update this number when a table of users' rows is added"


async def test_policies_follow_the_tables_on_an_empty_database(
    database: str,
) -> None:
    """Tables of the track agentrows are created after the run's transaction and the indexes."""
    for way in ("run", "file"):
        report = await Migrator(database, TRACKS).up(transaction=way)
        assert report.status.is_current
        files = [run.file for run in report.files]
        assert files.index("agentrows/000013_share_token_digest.up.sql") < files.index(
            "rls/000001_owner_policies.up.sql"
        )
        for track in ("rls_vector", "rls", "agentrows", "vector", "core"):
            await Migrator(database, TRACKS).goto(track, 0)


async def test_rolling_policy_tracks_back_leaves_no_trace(
    server: Server, guarded: str, superuser: asyncpg.Connection
) -> None:
    with pytest.raises(MigrationFailed, match="depend"):
        await Migrator(server.dsn(guarded), TRACKS).goto("core", 6)
    for track in migrate.ROW_SECURITY:
        await Migrator(server.dsn(guarded), TRACKS).goto(track, 0)
    assert await superuser.fetchval("SELECT count(*) FROM pg_policy") == 0
    assert not await superuser.fetchval(
        "SELECT bool_or(relrowsecurity OR relforcerowsecurity) FROM pg_class"
    )


def test_command_line_selects_policy_tracks_by_setting_or_name(
    server: Server, template: str
) -> None:
    """The policy tracks are selected only by the setting or by name."""
    name = server.create_database(template)

    def run(*arguments: str, **setting: str) -> str:
        environment = {**os.environ, "AGENTROWS_DATABASE_URL": server.dsn(name), **setting}
        done = subprocess.run(  # noqa: S603  our own command
            [Path(sys.executable).parent / "agentrows", "migrate", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    assert "rls" not in run("status")
    assert "rls\t-\t9\t9 pending" in run("status", AGENTROWS_ROW_SECURITY="true")
    run("goto", "9", "--track", "rls")
    assert "rls\t9\t9\tcurrent" in run("status", AGENTROWS_ROW_SECURITY="true")
    run("up", AGENTROWS_ROW_SECURITY="true")
    assert run("version", AGENTROWS_ROW_SECURITY="true").endswith("rls\t9\nrls_vector\t3\n")
    run("down", "1", "--track", "rls_vector")
    assert run("version", AGENTROWS_ROW_SECURITY="true").endswith("rls\t9\nrls_vector\t2\n")
    server.drop_database(name)


async def test_statement_that_sets_the_variable_is_not_restricted(
    client: PostgresClient,
) -> None:
    async with client.as_user("mira") as tx:
        await tx.db.execute("SELECT set_config('agentrows.user_id', 'juno', true)")
        assert await names(tx) == ["juno"]
