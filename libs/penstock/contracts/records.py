"""Types of contracts/records: what the fleet itself publishes for other programs to read.

A record type is one kind of message: its subject, its headers and its payload, each with a schema. The version is part
of its name and nothing on the wire repeats it: a message that would not match v1 is published on another subject.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

import jsonschema_rs

from penstock.contracts.data import Data
from penstock.contracts.validator import compile_schema


class Parameter(Data):
    """A `{name}` in a subject: a regular expression for what stands there."""

    meaning: str
    pattern: str


class RecordType(Data):
    """One version of a record type (contracts/records/<record>.yaml).

    `stream` is None for what no stream stores. Without `headers` the headers mean nothing; without `payload` the
    payload is that of the original message, unchanged.
    """

    record: str
    meaning: str
    owner: str
    status: Literal["draft", "released"] = "released"
    stream: str | None = None
    subject: str
    parameters: Mapping[str, Parameter]
    examples: tuple[str, ...] = ()
    headers: Mapping[str, Any] | None = None
    payload: Mapping[str, Any] | None = None

    @cached_property
    def subject_pattern(self) -> re.Pattern[str]:
        """Matches the subjects of this type. Raises KeyError for a parameter that is not described, re.error."""
        parts = re.split(r"\{(\w+)\}", self.subject)
        texts = (f"(?:{self.parameters[part].pattern})" if at % 2 else re.escape(part) for at, part in enumerate(parts))
        return re.compile("".join(texts) + r"\Z")

    @cached_property
    def header_validator(self) -> jsonschema_rs.Draft202012Validator | None:
        """The headers' schema, compiled."""
        return None if self.headers is None else compile_schema(self.headers)

    @cached_property
    def payload_validator(self) -> jsonschema_rs.Draft202012Validator | None:
        """The payload's schema, compiled."""
        return None if self.payload is None else compile_schema(self.payload)

    @cached_property
    def fixed_headers(self) -> Mapping[str, str]:
        """Headers with one possible value: they tell types on the same subject apart."""
        described = (self.headers or {}).get("properties", {})
        return {name: schema["const"] for name, schema in described.items() if "const" in schema}
