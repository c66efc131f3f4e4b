"""Roles of a Cassandra of our own: the built-in superuser is replaced; the writer may touch its keyspace only.

Tables are made by services.writer.migrate, as `admin`; the writer creates nothing. The local stack does this as it
starts; where the fleet runs in containers, a job does:  python -m penstock.services.writer.cassandra_roles
"""

from __future__ import annotations

import logging
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from cassandra import AuthenticationFailed
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import Cluster, ExecutionProfile, NoHostAvailable, Session
from cassandra.policies import WhiteListRoundRobinPolicy

from penstock import secret_file
from penstock.errors import PenstockError
from penstock.services.writer.settings import WriterSettings

ADMIN = "admin"
WRITER = "writer"
PATIENCE = 300.0  # seconds for the node to start
BUILT_IN = "cassandra"  # its name and its password, which everyone knows


@contextmanager
def session(settings: WriterSettings, user: str, password: str) -> Iterator[Session]:
    """A session at the first contact point. Raises NoHostAvailable; it holds AuthenticationFailed if that is why."""
    host = _host(settings)
    profile = ExecutionProfile(load_balancing_policy=WhiteListRoundRobinPolicy([host]), request_timeout=20)
    cluster = Cluster(
        [host],
        port=settings.cassandra,
        auth_provider=PlainTextAuthProvider(user, password),
        execution_profiles={"default": profile},
        protocol_version=5,
        connect_timeout=5,
    )
    try:
        yield cluster.connect()
    finally:
        cluster.shutdown()


@contextmanager
def admin(settings: WriterSettings) -> Iterator[Session]:
    """A session that may do everything; for provisioning and for tests."""
    with session(settings, ADMIN, _password(settings, "cassandra_admin")) as opened:
        yield opened


def prepare(settings: WriterSettings) -> bool:
    """Make keyspace, roles and grants as they should be. False if the node does not answer yet."""
    try:
        socket.create_connection((_host(settings), settings.cassandra), timeout=5).close()
    except OSError:
        return False  # nobody listens: spare the driver its attempts and its log
    logging.getLogger("cassandra").setLevel(logging.CRITICAL)  # it reports every attempt while the node starts
    try:
        with admin(settings) as opened:
            _grant(settings, opened)
            _same_password(settings, opened)
        return True
    except NoHostAvailable as error:
        if _is_refusal(error):
            _take_over(settings)
        return False


def _host(settings: WriterSettings) -> str:
    return settings.cassandra_hosts.split(",")[0].strip()


def _password(settings: WriterSettings, role: str) -> str:
    """The password of that name; made at the first call."""
    return secret_file.ensure(settings.secrets / role, secret_file.random_text).decode()


def _is_refusal(error: NoHostAvailable) -> bool:
    """Whether the node refused the login; `errors` are names only when it went away while we connected."""
    return isinstance(error.errors, Mapping) and any(
        isinstance(reason, AuthenticationFailed) for reason in error.errors.values()
    )


def _take_over(settings: WriterSettings) -> None:
    """First start: put our own superuser in the place of the built-in one, which may not be made yet."""
    try:
        with session(settings, BUILT_IN, BUILT_IN) as opened:
            _role(opened, f"{ADMIN} WITH SUPERUSER = true", _password(settings, "cassandra_admin"))
    except NoHostAvailable:
        return


def _grant(settings: WriterSettings, opened: Session) -> None:
    keyspace = settings.cassandra_keyspace
    opened.execute(f"DROP ROLE IF EXISTS {BUILT_IN}")
    _forget(opened, BUILT_IN)
    opened.execute(
        f"CREATE KEYSPACE IF NOT EXISTS {keyspace} "
        "WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"
    )
    _role(opened, f"{WRITER} WITH SUPERUSER = false", _password(settings, "cassandra_writer"))
    for right in ("SELECT", "MODIFY"):
        opened.execute(f"GRANT {right} ON KEYSPACE {keyspace} TO {WRITER}")


def _same_password(settings: WriterSettings, opened: Session) -> None:
    """The file may be another by now. The node takes a new password of a role once in 5 s, so not without need."""
    password = _password(settings, "cassandra_writer")
    try:
        with session(settings, WRITER, password):
            return
    except NoHostAvailable as error:
        if not _is_refusal(error):
            raise
    opened.execute(f"ALTER ROLE {WRITER} WITH PASSWORD = '{password}'")
    _forget(opened, WRITER)


def _forget(opened: Session, role: str) -> None:
    # The node would go by its cache for 2 s more.
    opened.execute(f"DELETE FROM system_views.credentials_cache_keys WHERE role = '{role}'")  # noqa: S608


def _role(opened: Session, role: str, password: str) -> None:
    # CQL takes no bound value here; our passwords have no quote in them (token_urlsafe).
    opened.execute(f"CREATE ROLE IF NOT EXISTS {role} AND LOGIN = true AND PASSWORD = '{password}'")


def main() -> int:
    """Makes them in the Cassandra of the settings (PENSTOCK_CASSANDRA_*), and waits for it."""
    settings = WriterSettings()
    deadline = time.monotonic() + PATIENCE
    while not prepare(settings):
        if time.monotonic() > deadline:
            raise PenstockError("STORE_UNAVAILABLE", f"{_host(settings)} let nobody log in for {PATIENCE:.0f} s")
        time.sleep(1.0)
    print(f"roles {ADMIN} and {WRITER}, keyspace {settings.cassandra_keyspace}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
