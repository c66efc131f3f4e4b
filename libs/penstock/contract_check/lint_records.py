"""What a record type must say: name, stream, subject and schemas; its examples match it, or break it as they say.

An example is one message, {"subject", "headers", "payload"}.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

import orjson

from penstock.contract_check.example_files import lint_folder
from penstock.contract_check.finding import Finding
from penstock.contract_check.lint_schema import lint_schema
from penstock.contracts import Contracts
from penstock.contracts.records import RecordType
from penstock.errors import Refused
from penstock.events.records import read_record

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?\.v[1-9][0-9]{0,3}\Z")


def lint_records(contracts: Contracts) -> Iterator[Finding]:
    """Findings about every record type and its examples."""
    on_disk = {path.name for path in (contracts.root / "records").glob("*.yaml")}
    declared = {name: list(_declared(_file(name), contracts, record)) for name, record in contracts.records.items()}
    for name, record in contracts.records.items():
        where = _file(name)
        if where.partition("/")[2] not in on_disk:
            yield Finding(where, "file-name", f"{name} is not in a file of its name", "Name the file <record>.yaml.")
        schemas = list(_schemas(where, record))
        yield from (*declared[name], *schemas)
        # The subjects of all types together tell which type a message has.
        if not schemas and not any(declared.values()):
            yield from lint_folder(contracts, where, name, partial(refusal, contracts, name))


def _file(name: str) -> str:
    return f"records/{name}.yaml"


def refusal(contracts: Contracts, record: str, raw: bytes) -> Refused | None:
    """How the message in an example is refused, or None when it is a message of this record type."""
    message = orjson.loads(raw)
    payload = orjson.dumps(message.get("payload"))
    try:
        found = read_record(contracts, message["subject"], message.get("headers", {}), payload).type.record
    except Refused as error:
        return error
    return None if found == record else Refused("RECORD_INVALID", f"it is a {found}", pointer="/subject")


def _declared(where: str, contracts: Contracts, record: RecordType) -> Iterator[Finding]:
    if not _NAME.match(record.record):
        yield Finding(where, "name", f"{record.record!r} cannot be a record type", "Write <noun>.v<N>.")
    for member in ("meaning", "owner"):
        if not getattr(record, member).strip():
            yield Finding(where, "words", f"{member} is empty", "Say it in a sentence.")
    if record.stream is not None and record.stream not in contracts.streams:
        yield Finding(where, "reference", f"stream names {record.stream}, which does not exist", "Correct the name.")
    used = set(re.findall(r"\{(\w+)\}", record.subject))
    for name in sorted(used ^ record.parameters.keys()):
        next_step = "Describe it under `parameters`." if name in used else "Remove it, or use it in `subject`."
        yield Finding(where, "reference", f"the parameter {name} is not in subject and parameters alike", next_step)
    for name, parameter in record.parameters.items():
        try:
            re.compile(parameter.pattern)
        except re.error as error:
            yield Finding(f"{where} {name}", "pattern", f"not a regular expression: {error}", "Correct the pattern.")


def _schemas(where: str, record: RecordType) -> Iterator[Finding]:
    if record.headers is None and record.payload is None:
        yield Finding(where, "schema-root", "neither headers nor payload are described", "Describe one of them.")
    if record.headers is not None:
        # A copy of an event has the headers of the event, which are its publisher's.
        yield from lint_schema(where, record.headers, "headers", open=True)
    if record.payload is not None:
        yield from lint_schema(where, record.payload, "payload")
