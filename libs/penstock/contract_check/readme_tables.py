"""contracts/ → the tables of README.md, each between its `<!-- generated: … -->` and `<!-- end generated: … -->`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from penstock.contracts import Contracts

_PLACE = "(?<=<!-- generated: {name} -->\n).*?(?=<!-- end generated: {name} -->)"


def events(contracts: Contracts) -> str:
    """Event types with their meaning, dataset, entity and searched members."""
    rows = (
        (
            f"[`{name}`](contracts/events/{name}.yaml)",
            event_type.meaning,
            f"{event_type.dataset}, by {contracts.datasets[event_type.dataset].period}",
            event_type.entity.meaning.split(";")[0].rstrip("."),
            ", ".join(f"`{path}`" for path in event_type.search_paths),
        )
        for name, event_type in sorted(contracts.types.items())
    )
    return markdown_table(("Event type", "Meaning", "Dataset", "Entity (`subject`)", "Full-text members"), rows)


def services(contracts: Contracts) -> str:
    """Requests, the worker that replies to each and who may send it."""
    rows = []
    for service, body in contracts.services.items():
        servers = [name for name, identity in contracts.identities.items() if service in identity.serves]
        for operation, each in body.operations.items():
            callers = [
                name
                for name, identity in contracts.identities.items()
                if {f"{service}.*", f"{service}.{operation}"} & set(identity.requests)
            ]
            rows.append(
                (
                    f"`svc.{service}.{operation}`",
                    each.meaning,
                    ", ".join(servers),
                    ", ".join(callers),
                    f"`{each.request}`",
                )
            )
    return markdown_table(("Request", "Meaning", "Answered by", "Callers", "Model"), rows)


TABLES: dict[str, Callable[[Contracts], str]] = {"events": events, "services": services}


def insert(readme: str, contracts: Contracts) -> str:
    """The text of README.md with its tables made anew; a table without its markers is left out."""
    for name, table in TABLES.items():
        place = re.compile(_PLACE.format(name=name), re.DOTALL)
        readme = place.sub(table(contracts).replace("\\", r"\\"), readme)
    return readme


def markdown_table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table of Markdown, one line a row."""
    lines = [head, ("---",) * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
