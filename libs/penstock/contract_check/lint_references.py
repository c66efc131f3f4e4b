"""Streams, services, identities and roles name each other, event types and error codes; every name must exist."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from penstock.contract_check.finding import Finding
from penstock.contracts import Contracts, subjects
from penstock.contracts.identities import Identity
from penstock.contracts.topology import REPLAY_STREAM

_RAISES = {"PenstockError", "Refused", "Unavailable", "Drop"}


def lint_identities(contracts: Contracts) -> Iterator[Finding]:
    """Findings about identities and roles, and about services, buckets and consumers that no identity serves."""
    for name, identity in contracts.identities.items():
        where = f"identities.yaml {name}"
        if not subjects.is_token(name):
            yield Finding(where, "name", f"{name!r} cannot be an identity", "Use [a-z][a-z0-9_]*, no reserved name.")
        for kind, entry in _missing(contracts, identity):
            yield Finding(where, "reference", f"{kind} names {entry}, which does not exist", "Correct the name.")
        if identity.publishes and identity.door is None:
            yield Finding(where, "reference", "publishes events but has no door", "Give it `door: nats`.")
    for name, role in contracts.roles.items():
        for entry in role.requests:
            if not _asks(contracts, entry):
                yield Finding(
                    f"identities.yaml {name}",
                    "reference",
                    f"requests names {entry}, which does not exist",
                    "Correct the name.",
                )
    yield from _left_over(contracts)
    yield from _not_private(contracts)


def lint_services(contracts: Contracts) -> Iterator[Finding]:
    """Findings about services: their names, and the models of their requests and replies."""
    from penstock.rpc import messages

    for service, body in contracts.services.items():
        for operation, each in body.operations.items():
            where = f"services.yaml {service}.{operation}"
            if not subjects.TOKEN.match(service) or not subjects.TOKEN.match(operation):
                yield Finding(where, "name", "cannot be a name", "Use [a-z][a-z0-9_]*.")
            for model in (each.request, each.reply):
                if not hasattr(messages, model):
                    yield Finding(where, "reference", f"penstock/rpc/messages has no {model}", "Correct the name.")


def lint_error_codes(contracts: Contracts, sources: Path) -> Iterator[Finding]:
    """Codes that the Python sources below `sources` raise and errors.yaml does not have."""
    for folder in ("libs", "services", "stack"):
        for path in sorted((sources / folder).rglob("*.py")):
            for line, code in _codes(path):
                if code not in contracts.errors:
                    yield Finding(
                        f"{path.relative_to(sources).as_posix()}:{line}",
                        "error-code",
                        f"the code {code} is not in errors.yaml",
                        "Add it with status, title and next_step, or use an existing code.",
                    )


def _missing(contracts: Contracts, identity: Identity) -> Iterator[tuple[str, str]]:
    for entry in identity.publishes:
        if entry != "*" and entry not in contracts.types:
            yield "publishes", entry
    for kind in ("consumes", "monitors"):
        for entry in getattr(identity, kind):
            stream, _, consumer = entry.partition("/")
            known = contracts.streams.get(stream)
            if known is None or ((consumer or kind == "consumes") and consumer not in known.consumers):
                yield kind, entry
    for entry in identity.follows:
        if entry != "*" and entry not in contracts.types:
            yield "follows", entry
    for entry in identity.reads_streams:
        if entry not in contracts.streams:
            yield "reads_streams", entry
    for kind in ("reads_buckets", "writes_buckets"):
        for entry in getattr(identity, kind):
            if entry not in contracts.buckets:
                yield kind, entry
    for entry in identity.requests:
        if not _asks(contracts, entry):
            yield "requests", entry
    for entry in identity.serves:
        if entry not in contracts.services:
            yield "serves", entry


def _asks(contracts: Contracts, entry: str) -> bool:
    service, _, operation = entry.partition(".")
    known = contracts.services.get(service)
    return known is not None and (operation == "*" or operation in known.operations)


def _left_over(contracts: Contracts) -> Iterator[Finding]:
    everyone = contracts.identities.values()
    for service in contracts.services:
        if not any(service in identity.serves for identity in everyone):
            yield Finding(
                f"services.yaml {service}", "unused", "no identity serves it", "Add it to `serves` of an identity."
            )
    for bucket in contracts.buckets:
        writers = [name for name, identity in contracts.identities.items() if bucket in identity.writes_buckets]
        if len(writers) != 1:
            yield Finding(
                f"streams.yaml {bucket}", "writers", f"the bucket has {len(writers)} writers", "Give it exactly one."
            )
    for stream, body in contracts.streams.items():
        for consumer in body.consumers:
            entry = f"{stream}/{consumer}"
            if not any(entry in identity.consumes for identity in everyone):
                yield Finding(
                    f"streams.yaml {entry}", "unused", "no identity consumes it", "Add it to `consumes` of an identity."
                )


def _not_private(contracts: Contracts) -> Iterator[Finding]:
    """Consumers of REPLAY that would give a target the messages of another."""
    for target, consumer in contracts.streams[REPLAY_STREAM].consumers.items():
        where = f"streams.yaml {REPLAY_STREAM}/{target}"
        if consumer.filter != subjects.replay(target, ">"):
            wanted = f"Filter it by {subjects.replay(target, '>')}."
            yield Finding(where, "private", f"its filter is {consumer.filter}", wanted)
        others = [
            n for n, i in contracts.identities.items() if f"{REPLAY_STREAM}/{target}" in i.consumes and n != target
        ]
        if others:
            yield Finding(where, "private", f"{', '.join(others)} consumes it", f"Let only {target} consume it.")


def _codes(path: Path) -> Iterator[tuple[int, str]]:
    """(line, code) of every error or drop that is made with a literal code."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _RAISES:
            values = [*node.args[:1], *(each.value for each in node.keywords if each.arg == "code")]
            for value in values:
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield node.lineno, value.value
