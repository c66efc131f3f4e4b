"""headers of a request → RequestCaller: the identity that the server vouches for, and whom the ingress asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from penstock.errors import Refused
from penstock.events import ijson
from penstock.telemetry.traces import TRACEPARENT

ON_BEHALF = "x-on-behalf"
TRUSTED_PROXY = "ingress"  # the one identity that is believed about others
ALL = "*"


@dataclass(frozen=True, slots=True)
class Person:
    """Whom the ingress asks for, and what they may read; `*` in `datasets` is every dataset."""

    name: str
    datasets: frozenset[str]
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RequestCaller:
    """Who asks. `datasets` and `roles` are what counts: the person's where there is one, else the identity's."""

    identity: str
    on_behalf: Person | None = None
    datasets: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    traceparent: str = ""

    def may_read(self, dataset: str) -> bool:
        """Whether answers to this asker may hold events of the dataset."""
        return ALL in self.datasets or dataset in self.datasets


Json = dict[str, Any]


def request_caller(headers: Mapping[str, str], caller: str) -> RequestCaller:
    """Who asks. Raises Refused FORBIDDEN when anybody but the ingress speaks on behalf of others."""
    text = headers.get(ON_BEHALF)
    traceparent = headers.get(TRACEPARENT, "")
    if text is None:
        # The ingress has no rights of its own to anybody's data; another identity may read what its requests reach.
        own = frozenset() if caller == TRUSTED_PROXY else frozenset({ALL})
        return RequestCaller(caller, None, own, frozenset(), traceparent)
    if caller != TRUSTED_PROXY:
        raise Refused("FORBIDDEN", f"{caller} may not ask on behalf of others")
    value = json_object(text.encode())
    try:
        person = Person(str(value["name"]), frozenset(value["datasets"]), frozenset(value["roles"]))
    except (KeyError, TypeError) as error:
        raise Refused("QUERY_INVALID", "on behalf of whom is not readable") from error
    return RequestCaller(caller, person, person.datasets, person.roles, traceparent)


def json_object(data: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Refused("JSON_INVALID", ijson.fault(error)) from None
    if not isinstance(value, dict):
        raise Refused("QUERY_INVALID", "not an object")
    return value
