"""Roles of the local Cassandra: the built-in superuser is replaced; the writer may touch its keyspace only.

Tables are made by `penstock provision`, as `admin`; the writer creates nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from cassandra import AuthenticationFailed
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import Cluster, ExecutionProfile, NoHostAvailable, Session
from cassandra.policies import WhiteListRoundRobinPolicy

from penstock.stack import ports, secret
from penstock.stack.place import Place

ADMIN = "admin"
WRITER = "writer"
BUILT_IN = "cassandra"  # its name and its password, which everyone knows


@contextmanager
def session(place: Place, user: str, password: str) -> Iterator[Session]:
    """A short session at the local node. Raises NoHostAvailable, which holds AuthenticationFailed if that is why."""
    profile = ExecutionProfile(load_balancing_policy=WhiteListRoundRobinPolicy([ports.LOOPBACK]), request_timeout=20)
    cluster = Cluster(
        [ports.LOOPBACK],
        port=place.local_port("cassandra"),
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
def admin(place: Place) -> Iterator[Session]:
    """A session that may do everything; for provisioning and for tests."""
    with session(place, ADMIN, secret.password(place, "cassandra_admin")) as opened:
        yield opened


def prepare(place: Place) -> bool:
    """Make keyspace, roles and grants as they should be. False if the node does not answer yet."""
    if ports.is_free(place.local_port("cassandra")):
        return False  # nobody listens: spare the driver its attempts and its log
    logging.getLogger("cassandra").setLevel(logging.CRITICAL)  # it reports every attempt while the node starts
    try:
        with admin(place) as opened:
            _grant(place, opened)
            _same_password(place, opened)
        return True
    except NoHostAvailable as error:
        if _is_refusal(error):
            _take_over(place)
        return False


def _is_refusal(error: NoHostAvailable) -> bool:
    """Whether the node refused the login; `errors` are names only when it went away while we connected."""
    return isinstance(error.errors, Mapping) and any(
        isinstance(reason, AuthenticationFailed) for reason in error.errors.values()
    )


def _take_over(place: Place) -> None:
    """First start: put our own superuser in the place of the built-in one, which may not be made yet."""
    try:
        with session(place, BUILT_IN, BUILT_IN) as opened:
            _role(opened, f"{ADMIN} WITH SUPERUSER = true", secret.password(place, "cassandra_admin"))
    except NoHostAvailable:
        return


def _grant(place: Place, opened: Session) -> None:
    keyspace = place.cassandra_keyspace
    opened.execute(f"DROP ROLE IF EXISTS {BUILT_IN}")
    _forget(opened, BUILT_IN)
    opened.execute(
        f"CREATE KEYSPACE IF NOT EXISTS {keyspace} "
        "WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"
    )
    _role(opened, f"{WRITER} WITH SUPERUSER = false", secret.password(place, "cassandra_writer"))
    for right in ("SELECT", "MODIFY"):
        opened.execute(f"GRANT {right} ON KEYSPACE {keyspace} TO {WRITER}")


def _same_password(place: Place, opened: Session) -> None:
    """The file may be another by now. The node takes a new password of a role once in 5 s, so not without need."""
    password = secret.password(place, "cassandra_writer")
    try:
        with session(place, WRITER, password):
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
