"""Errors of the web framework → ours, each with a sentence that says what to change in the request."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from penstock.contracts import wording
from penstock.contracts.model_violation import violation
from penstock.errors import PenstockError, Refused
from penstock.events import ijson

Paths = Mapping[str, Collection[str]]

JSON = "application/json"
ALIKE = 0.75  # of two names: `anomaly` and `anomalies`
_WHERE = {"query": "the query", "path": "the path", "body": "the request"}


def as_refusal(error: Exception, request: Request) -> PenstockError:
    """Our error for one of the framework's."""
    match error:
        case PenstockError():
            return error
        case RequestValidationError():
            return _invalid(error, request)
        case HTTPException(status_code=404 | 405):
            return wrong_path(request.method, request.url.path, request.app.openapi()["paths"])
        case _:
            return _unreadable(error.__cause__)


def wrong_path(method: str, path: str, known: Paths) -> Refused:
    """Why a path does not take this method, or is not there; `known` as an OpenAPI document has them."""
    if allowed := methods(path, known):
        return Refused("METHOD_UNKNOWN", f"{path[:128]} does not take {method[:16]}, but {wording.one_of(allowed)}")
    near = _nearest(path[:128], known)
    return Refused("PATH_UNKNOWN", f"there is no path {path[:128]}" + (f"; did you mean {near}?" if near else ""))


def _nearest(path: str, known: Collection[str]) -> str:
    """The path that was probably meant: without the prefix, with a slash too many, or with one name misspelt."""
    names = _names(path)
    likeness = {each: _likeness(names, _names(each)) for each in known}
    best = max(likeness, key=likeness.__getitem__, default="")
    return best if likeness.get(best, 0) >= ALIKE else ""


def _names(path: str) -> list[str]:
    found = [name for name in path.lower().split("/") if name]
    return found[1:] if found[:1] == ["v1"] else found


def _likeness(names: list[str], known: list[str]) -> float:
    """From 0 to 1: that of the names that differ most. A parameter takes any name."""
    if len(names) != len(known) or not names:
        return 0.0
    pairs = ((a, b) for a, b in zip(names, known, strict=True) if not b.startswith("{"))
    return min((difflib.SequenceMatcher(None, a, b).ratio() for a, b in pairs), default=0.0)


def methods(path: str, known: Paths) -> list[str]:
    """What may be asked of a path; empty when there is no such path."""
    for template, operations in known.items():
        if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template)), path):
            return sorted(name.upper() for name in operations)
    return []


def _invalid(error: RequestValidationError, request: Request) -> Refused:
    errors = error.errors()
    first = errors[0]
    part = str(first["loc"][0])
    if first["type"] == "json_invalid":
        return Refused("JSON_INVALID", f"the body is not JSON: at character {first['loc'][1]}, {_reason(first)}")
    if first["loc"] == ("body",) and first["type"] == "missing":
        return Refused("JSON_INVALID", "the body is empty; send a JSON object, {} for one without members")
    if isinstance(error.body, bytes):  # which the framework did not read as JSON
        sent = request.headers.get("content-type", "")
        said = f"the Content-Type is {sent[:128]}" if sent else "there is no Content-Type"
        return Refused("CONTENT_TYPE_UNKNOWN", f"{said}; send the body as {JSON}")
    values = {
        "query": {name: request.query_params.getlist(name) for name in request.query_params},
        "path": request.path_params,
    }.get(part, error.body)
    of_part: list[Any] = [{**each, "loc": each["loc"][1:]} for each in errors if each["loc"][0] == part]
    sentence, pointer = violation(of_part, values, whole=_WHERE.get(part, part))
    return Refused("QUERY_INVALID", sentence, pointer=pointer)


def _unreadable(cause: BaseException | None) -> PenstockError:
    match cause:
        case PenstockError():
            return cause
        case UnicodeDecodeError():
            return Refused("JSON_INVALID", ijson.fault(cause))
        case RecursionError():
            return Refused("NESTED_TOO_DEEP", "the body has too many levels of objects and arrays")
        case _:
            return Refused("QUERY_INVALID", "the body cannot be read")


def _reason(error: dict[str, object]) -> str:
    found = error.get("ctx")
    reason = found.get("error") if isinstance(found, dict) else None
    return str(reason or "a value is missing").lower()
