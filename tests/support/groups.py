"""Which tests stay together in one process when several run side by side.

Whatever uses the servers of the session, or boots whole stacks, is one group, one test after the other; every other
file is a group of its own.
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


class Groups(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Hands out groups."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


def group(nodeid: str) -> str:
    """The group of a test; node ids are relative to the root of the repository."""
    return SERVERS if nodeid.startswith(ON_SERVERS) else nodeid.partition("::")[0]
