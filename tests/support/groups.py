"""Which tests stay together in one process when several run side by side.

Whatever uses the servers of the session is one group, one test after the other, and whatever breaks the whole stack is
another; every other file is a group of its own. The two long groups begin, one in each process; the files fill up
whatever process is done with its own.
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

SERVERS = "servers"
FULL_STACK = "full stack"
# The files whose tests use the fixture `full_stack`.
ON_FULL_STACK = (
    "tests/faults/test_soak.py",
    "tests/journeys/test_broken_mapping.py",
    "tests/journeys/test_kill.py",
    "tests/journeys/test_outage.py",
    "tests/journeys/test_poison.py",
    "tests/journeys/test_replay.py",
    "tests/journeys/test_replay_kills.py",
    "tests/journeys/test_what_callers_see.py",
)
# Journeys that start NATS and one server more, in a place of their own.
SMALL_STACKS = ("tests/journeys/test_edge.py", "tests/journeys/test_keycloak.py")
ON_SERVERS = ("tests/stores/", "tests/stack/", "tests/journeys/", "tests/edge/test_elasticsearch_reader")


class Groups(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Hands out groups."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


def group(nodeid: str) -> str:
    """The group of a test; node ids are relative to the root of the repository."""
    path = nodeid.partition("::")[0]
    if path in ON_FULL_STACK:
        return FULL_STACK
    return SERVERS if path.startswith(ON_SERVERS) and path not in SMALL_STACKS else path


def is_long(nodeid: str) -> bool:
    """Whether the group of a test takes as long as all the files together."""
    return group(nodeid) in (SERVERS, FULL_STACK)
