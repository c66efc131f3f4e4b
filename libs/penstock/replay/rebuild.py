"""A period's index, rebuilt beside the live one: its document in the bucket `replays`, which every indexer follows.

    filling ─▶ swapped ⇄ rolled_back;  any of them ─▶ dropped

While it is open (not dropped), every live line of `alias` also goes to `beside(alias)`: the index that is filled, and
after the swap the one that was live. So either can be put in the other's place at any time, without a gap.

Every decision is a change of this document, by compare-and-set. Whoever asks a worker to carry one out names the
revision that it was made at, and the worker refuses when the document has another one by then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from penstock.broker import Keys, if_there
from penstock.errors import Refused
from penstock.rpc.messages import Reply

# Seconds for which an indexer goes by what it has read: a line that is written later than that, after a rebuild was
# opened, is written to both.
LEASE = 3.0
PREFIX = "rebuild"


class Rebuild(Reply):
    """`index` is the one that `run` fills. `members`: the write aliases of periods that share it."""

    alias: str
    run: str
    index: str
    members: tuple[str, ...] = ()
    state: Literal["filling", "swapped", "rolled_back", "dropped"] = "filling"

    @property
    def open(self) -> bool:
        """Whether both indices are kept current."""
        return self.state != "dropped"


def key(alias: str) -> str:
    """The key of an alias' rebuild."""
    return f"{PREFIX}.{alias}"


def by_line(rebuilds: Mapping[str, Rebuild]) -> dict[str, Rebuild]:
    """The rebuilds by each write alias whose lines go to them."""
    return {alias: each for each in rebuilds.values() for alias in (each.alias, *each.members)}


def beside(alias: str) -> str:
    """The alias of the index beside the live one."""
    return f"{alias}-beside"


async def all_of(keys: Keys) -> dict[str, Rebuild]:
    """The open rebuilds by alias. Raises Unavailable."""
    entries = await keys.all(f"{PREFIX}.>")
    found = [Rebuild.model_validate_json(entry.value) for entry in entries.values()]
    return {each.alias: each for each in found if each.open}


async def require_current(keys: Keys, alias: str, revision: int) -> None:
    """For a worker that is about to change an index or a table. Raises Refused CONFLICT when the rebuild is not at
    `revision` any more (0: there was none): whoever asks has been overtaken, like a leader that was suspended."""
    entry = await if_there(keys.get(key(alias)))
    now = entry.revision if entry is not None else 0
    if now != revision:
        raise Refused("CONFLICT", f"the rebuild of {alias} has changed: it is at revision {now}, not at {revision}")
