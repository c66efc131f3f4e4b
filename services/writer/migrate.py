"""migrations/<number>_<name>.cql → keyspace, each once and in order:  python -m penstock.services.writer.migrate

Run it before the writer, as a role that may create tables; the writer itself may not. What was applied is kept with its
checksum in the table `migrations`; a file that changed afterwards is an error. A lease keeps two runs apart.
"""

from __future__ import annotations

import re
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from cassandra import WriteTimeout
from cassandra.cluster import Session
from cassandra.query import SimpleStatement

from penstock.errors import PenstockError
from penstock.services.writer.settings import WriterSettings
from penstock.services.writer.store import open_cluster
from penstock.services.writer.table_schema import again

FOLDER = Path(__file__).parent / "migrations"
LEASE_SECONDS = 60
PATIENCE = 3.0 * LEASE_SECONDS  # another run may be at work, or have died with the lease
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.cql\Z")
_COLUMNS = "SELECT table_name, column_name, type FROM system_schema.columns WHERE keyspace_name = %s"
_COMMENT = re.compile(r"--[^\n]*")


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its number, name, statements and SHA-256."""

    number: int
    name: str
    statements: tuple[str, ...]
    checksum: str


def read(folder: Path = FOLDER) -> list[Migration]:
    """The migrations in order. Raises ValueError for a name that is none, or a number that is missing."""
    found = []
    for expected, path in enumerate(sorted(folder.glob("*.cql")), 1):
        match = _NAME.match(path.name)
        if match is None or int(match[1]) != expected:
            raise ValueError(f"{path.name}: expected {expected:04d}_<name>.cql")
        text = path.read_text(encoding="utf-8")
        statements = tuple(part.strip() for part in _COMMENT.sub("", text).split(";") if part.strip())
        found.append(Migration(expected, path.stem, statements, sha256(text.encode()).hexdigest()))
    return found


def migrate(session: Session, migrations: list[Migration], *, patience: float = PATIENCE) -> list[str]:
    """Applies what is not applied yet to the session's keyspace, and makes tables and columns again that are gone,
    but not their rows. Returns the names.

    Raises PenstockError MIGRATION_REFUSED: a file changed after it was applied, or another run holds the lease.
    """
    session.execute(
        "CREATE TABLE IF NOT EXISTS migrations "
        "(part text, number int, name text, checksum text, applied_at timestamp, PRIMARY KEY (part, number))"
    )
    session.execute("CREATE TABLE IF NOT EXISTS leases (name text PRIMARY KEY, holder text)")
    holder = str(uuid4())
    _take(session, holder, patience)
    try:
        applied = [migration.name for migration in _open(session, migrations) if _apply(session, migration, holder)]
        return applied + _again(session, migrations, holder)
    finally:
        with suppress(WriteTimeout):  # it ends by itself
            session.execute("DELETE FROM leases WHERE name = 'migrations' IF holder = %s", (holder,))


def _open(session: Session, migrations: list[Migration]) -> list[Migration]:
    rows = session.execute("SELECT number, checksum FROM migrations WHERE part = 'all'")
    applied = {row.number: row.checksum for row in rows}
    for migration in migrations:
        if applied.get(migration.number, migration.checksum) != migration.checksum:
            raise PenstockError(
                "MIGRATION_REFUSED", f"{migration.name} changed after it was applied; put it back and add a new file"
            )
    return [migration for migration in migrations if migration.number not in applied]


def _again(session: Session, migrations: list[Migration], holder: str) -> list[str]:
    found: dict[str, dict[str, str]] = {}
    for row in session.execute(_COLUMNS, (session.keyspace,)):
        found.setdefault(row.table_name, {})[row.column_name] = row.type
    steps = again((statement for each in migrations for statement in each.statements), found)
    for _, statement in steps:
        _renew(session, holder)
        session.execute(SimpleStatement(statement), timeout=30)
    return list(dict.fromkeys(name for name, _ in steps))


def _apply(session: Session, migration: Migration, holder: str) -> bool:
    for statement in migration.statements:
        _renew(session, holder)
        # The driver waits here until all nodes agree on the schema.
        session.execute(SimpleStatement(statement), timeout=30)
    session.execute(
        "INSERT INTO migrations (part, number, name, checksum, applied_at) "
        "VALUES ('all', %s, %s, %s, toTimestamp(now()))",
        (migration.number, migration.name, migration.checksum),
    )
    return True


def _take(session: Session, holder: str, patience: float) -> None:
    deadline = time.monotonic() + patience
    insert = "INSERT INTO leases (name, holder) VALUES ('migrations', %s) IF NOT EXISTS USING TTL %s"
    while not _ours(session, insert, (holder, LEASE_SECONDS), holder):
        if time.monotonic() > deadline:
            raise PenstockError(
                "MIGRATION_REFUSED", f"another run holds the lease; it ends by itself within {LEASE_SECONDS} s"
            )
        time.sleep(0.5)


def _renew(session: Session, holder: str) -> None:
    renew = "UPDATE leases USING TTL %s SET holder = %s WHERE name = 'migrations' IF holder = %s"
    if not _ours(session, renew, (LEASE_SECONDS, holder, holder), holder):
        raise PenstockError("MIGRATION_REFUSED", "the lease ran out before the migration ended; run it again")


def _ours(session: Session, statement: str, values: tuple[object, ...], holder: str) -> bool:
    """Whether the lease is ours after a conditional statement. One that timed out may have been applied nevertheless:
    trying it again finds our own name."""
    for _ in range(3):
        try:
            row = session.execute(statement, values).one()
        except WriteTimeout:
            continue
        return bool(row.applied) or getattr(row, "holder", None) == holder
    return False


def main() -> int:
    """Migrates the keyspace of the settings (PENSTOCK_CASSANDRA_*)."""
    settings = WriterSettings()
    cluster = open_cluster(settings)
    try:
        applied = migrate(cluster.connect(settings.cassandra_keyspace), read())
    finally:
        cluster.shutdown()
    print("\n".join(f"applied {name}" for name in applied) or "nothing to apply")
    return 0


if __name__ == "__main__":
    sys.exit(main())
