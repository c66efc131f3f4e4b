"""Prints the mappings of indices, and which of them is rebuilt, on the terminal or as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rich.console import Console
from rich.text import Text

from penstock.cli.console import Cell, print_json, print_table
from penstock.cli.replay_show import size
from penstock.rpc.messages import IndexMapping, IndexMappings, MappingChange, ReplayPlan

_STYLES = {"current": "green", "differs": "yellow", "unknown": "cyan"}


def indices(found: list[IndexMapping], json: bool) -> None:
    """Each index on a line, and then what changed, once for all indices with the same changes."""
    if json:
        print_json(IndexMappings(indices=found).to_json())
        return
    rows: list[tuple[Cell, ...]] = []
    for each in found:
        state, rebuild = Text(each.state, _STYLES[each.state]), f"{each.run} {each.rebuild}" if each.run else ""
        rows.append((each.index, state, f"{each.documents:,}", size(each.bytes), rebuild))
    print_table(("index", "mapping", "documents", "size", "rebuild"), rows, empty="no indices", whole=("index",))
    out = Console(highlight=False, soft_wrap=True)
    for changes, names in _grouped(found).items():
        out.print(f"\n{', '.join(names)}:")
        for member, was, now in changes:
            out.print(f"  {member}: {was or 'not mapped'} → {now or 'not mapped'}", markup=False)
    differing = [each for each in found if each.state != "current"]
    if any(each.state == "unknown" for each in differing):
        out.print("\nunknown: created before indices carried their mapping; only types are compared", style="dim")
    if differing:
        documents = sum(each.documents for each in differing)
        out.print(f"\nto rebuild {len(differing)} indices, {documents:,} documents: penstock migrate apply --reason …")


def steps(json: bool) -> Callable[[int, int, IndexMapping | None], None]:
    """Shows which index is rebuilt now; at the end there is none any more."""

    def step(number: int, total: int, index: IndexMapping | None) -> None:
        if json:
            print_json({"step": number, "of": total, "index": index.alias if index else None})
        elif index is None:
            Console(highlight=False).print(f"{total} rebuilt" if total else "every index has today's mapping")
        else:
            Console(highlight=False).print(f"{number} of {total}: {index.alias}, {index.documents:,} documents")

    return step


def planned(plans: list[ReplayPlan], json: bool) -> None:
    """What is left to do where another person must apply the plans."""
    if json:
        for each in plans:
            print_json({"index": each.alias, "plan": each.hash, "by": each.by, "needs": "another"})
        return
    out = Console(highlight=False, soft_wrap=True)
    by = plans[0].by
    out.print(f"{len(plans)} planned by {by}; anyone else who may apply replays has to apply them, one after the other")
    out.print("(over HTTP: the role approver), each when the run before it is done:")
    for each in plans:
        out.print(f"  {each.alias}: penstock replay apply {each.hash} --watch", markup=False)
    out.print("then, to see what is left: penstock migrate plan")


def _grouped(found: Iterable[IndexMapping]) -> dict[tuple[tuple[str, str, str], ...], list[str]]:
    groups: dict[tuple[tuple[str, str, str], ...], list[str]] = {}
    for each in found:
        if each.changes:
            groups.setdefault(tuple(map(_key, each.changes)), []).append(each.alias)
    return groups


def _key(change: MappingChange) -> tuple[str, str, str]:
    return change.member, change.was, change.now
