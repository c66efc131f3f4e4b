"""Fixtures that run the real servers. One place for the whole session; its Java servers boot once, side by side."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from penstock.errors import PenstockError
from penstock.stack import cassandra as cassandra_server
from penstock.stack import elasticsearch as elasticsearch_server
from penstock.stack import haproxy as haproxy_server
from penstock.stack import nats, process, up
from penstock.stack.place import Place
from tests.support.broker_rig import Rig
from tests.support.broker_rig import conf as rig_conf
from tests.support.full_stack import FullStack
from tests.support.groups import Groups, is_long
from tests.support.place_factory import PlaceFactory
from tests.support.processes import Processes

# What a developer may have set for a stack of their own must not leak into the tests; where data and tools are, may.
KEPT = {"PENSTOCK_DATA", "PENSTOCK_CACHE", "PENSTOCK_JAVA_HOME"}
# How long one example takes says more of the machine than of the code.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
JAVA_SERVERS = {"elasticsearch": elasticsearch_server.start, "cassandra": cassandra_server.start}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the files of tests/golden anew")


def pytest_configure() -> None:
    settings.load_profile("tests")
    for name in [name for name in os.environ if name.startswith("PENSTOCK_") and name not in KEPT]:
        del os.environ[name]
    # Java's second compiler pays off after minutes; these servers live for less, and start with a third less work.
    os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long groups begin."""
    items.sort(key=lambda item: not is_long(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Groups:
    """Which process runs what, where there are several."""
    return Groups(config, log)


@pytest.fixture(scope="session", autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Where `penstock send` remembers files: not in the home of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def place_factory() -> Iterator[PlaceFactory]:
    """Makes temporary places; whatever runs in them is stopped at the end of the session, also after a failure."""
    factory = PlaceFactory()
    yield factory
    factory.close()


@pytest.fixture(scope="session")
def haproxy() -> None:
    """Skips what needs HAProxy where it is not installed; `make setup` installs it as root, or says how."""
    try:
        haproxy_server.require_installed()
    except PenstockError as error:
        pytest.skip(error.detail)


@pytest.fixture(scope="session")
def stack_env(place_factory: PlaceFactory) -> Place:
    """The place of this session: it is also the Settings that reach its servers.

    Its identities come with tokens, as in every stack; they live shorter, and a new key of the issuer signs sooner.
    """
    return place_factory.make("session", auth="callout", issuer_token_seconds=40, issuer_key_ahead=8)


@pytest.fixture(scope="session")
def nats_server(stack_env: Place) -> Processes:
    """NATS with the accounts and rights of contracts/; the credentials are in stack_env.credentials_folder."""
    up.start_server(stack_env, "nats")
    return Processes(stack_env)


@pytest.fixture(scope="module")
async def rig(place_factory: PlaceFactory, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """NATS as the fleet has it, with a user that may do anything: for this module alone, so it may be killed."""
    place = place_factory.make(f"rig-{request.module.__name__.rpartition('.')[2]}")
    nats.wait_ready(place, nats.start(place, rig_conf(place)))
    rig = await Rig(Processes(place)).open()
    yield rig
    await rig.close()
    up.clean(place)


@pytest.fixture(scope="session")
def java_servers(stack_env: Place, request: pytest.FixtureRequest) -> dict[str, process.Record]:
    """Those Java servers that any test of this session will ask for, started together but not waited for."""
    wanted = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    if "fleet" in wanted:
        wanted |= set(JAVA_SERVERS)
    return {name: start(stack_env) for name, start in JAVA_SERVERS.items() if name in wanted}


@pytest.fixture(scope="session")
def elasticsearch(stack_env: Place, java_servers: dict[str, process.Record]) -> Processes:
    """Elasticsearch at stack_env.elasticsearch, empty."""
    elasticsearch_server.wait_ready(stack_env, java_servers["elasticsearch"])
    return Processes(stack_env)


@pytest.fixture(scope="session")
def cassandra(stack_env: Place, java_servers: dict[str, process.Record]) -> Processes:
    """Cassandra with its roles and an empty keyspace."""
    cassandra_server.wait_ready(stack_env, java_servers["cassandra"])
    return Processes(stack_env)


@pytest.fixture(scope="session")
def fleet(stack_env: Place, nats_server: Processes, elasticsearch: Processes, cassandra: Processes) -> Processes:
    """All servers, provisioned, and every service of the fleet, ready."""
    up.provision(stack_env)
    up.start_fleet(stack_env)
    return Processes(stack_env)


@pytest.fixture(scope="session")
async def full_stack(place_factory: PlaceFactory) -> AsyncIterator[FullStack]:
    """A whole stack with a model, for tests that break it: whatever they do, it must come back by itself."""
    full_stack = FullStack(place_factory.make("full_stack", elasticsearch_heap="512m", cassandra_heap="512m"))
    try:
        yield await full_stack.open()
    finally:
        await full_stack.close()


@pytest.fixture
def throwaway_nats(place_factory: PlaceFactory) -> Iterator[Callable[..., Processes]]:
    """Makes NATS servers for one test: `throwaway_nats()` is an open one, `throwaway_nats(conf)` runs conf(place)."""
    made: list[Place] = []

    def make(conf: Callable[[Place], str] = nats.minimal_conf) -> Processes:
        place = place_factory.make(f"nats-{os.urandom(4).hex()}")
        made.append(place)
        nats.wait_ready(place, nats.start(place, conf(place)))
        return Processes(place)

    yield make
    for place in made:
        up.clean(place)
