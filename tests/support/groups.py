"""Which tests stay together in one process when several run side by side.

Whatever uses the servers of the session, or boots whole stacks, is one group, one test after the other; every other
file is a group of its own. The one takes about as long as all the others together.
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

SERVERS = "servers"
ON_SERVERS = (
    "tests/stores/",
    "tests/stack/",
    "tests/journeys/",
    "tests/faults/",
    "tests/edge/test_elasticsearch_reader",
)
# Journeys that start NATS and one server more, in a place of their own.
SMALL_STACKS = ("tests/journeys/test_edge.py", "tests/journeys/test_keycloak.py")


class Groups(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Hands out groups."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


def group(nodeid: str) -> str:
    """The group of a test; node ids are relative to the root of the repository."""
    path = nodeid.partition("::")[0]
    return SERVERS if path.startswith(ON_SERVERS) and path not in SMALL_STACKS else path
