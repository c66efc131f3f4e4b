"""What a JSON Schema finds wrong with an event → the sentence that its sender reads."""

from __future__ import annotations

import json
from typing import Any

from jsonschema_rs import ValidationError
from jsonschema_rs import ValidationErrorKind as Kind

from penstock.contracts import wording


def sentence(error: ValidationError, whole: str = "the event") -> str:
    """Which member breaks which rule; the value itself is not in it, as it may be long or secret."""
    path, kind = list(error.instance_path), error.kind
    match kind:
        case Kind.Required() if kind.property == "data" and _has_bytes(error.instance):
            return "`data` is missing; send data as JSON there, for bytes in `data_base64` are not taken"
        case Kind.Required():
            return f"{wording.name([*path, kind.property], whole)} is missing"
        case Kind.AdditionalProperties():
            [first, *_] = kind.unexpected
            return f"{wording.name([*path, first], whole)} is not a member of {wording.name(path, whole)}"
        case Kind.PropertyNames():
            return f"a name in {wording.name(path, whole)} must be {_rule(kind.error.kind)}"
        case _:
            return f"{wording.name(path, whole)} must be {_rule(kind)}"


def _has_bytes(given: Any) -> bool:
    return isinstance(given, dict) and "data_base64" in given


def _rule(kind: Any) -> str:
    match kind:
        case Kind.Type():
            return wording.one_of(wording.TYPES.get(each, each) for each in kind.types)
        case Kind.Pattern():
            return wording.pattern(kind.pattern)
        case Kind.Enum():
            return wording.one_of(json.dumps(each) for each in kind.options)
        case Kind.Constant():
            return json.dumps(kind.expected_value)
        case Kind.MinLength():
            return "text that is not empty" if kind.limit == 1 else f"at least {kind.limit} characters long"
        case Kind.MaxLength():
            return f"at most {wording.count(kind.limit, 'character')} long"
        case Kind.MinItems():
            return f"a list of at least {wording.count(kind.limit, 'item')}"
        case Kind.MaxItems():
            return f"a list of at most {wording.count(kind.limit, 'item')}"
        case Kind.MinProperties():
            return f"an object of at least {wording.count(kind.limit, 'member')}"
        case Kind.MaxProperties():
            return f"an object of at most {wording.count(kind.limit, 'member')}"
        case Kind.Minimum():
            return f"{kind.limit} or more"
        case Kind.Maximum():
            return f"{kind.limit} or less"
        case Kind.ExclusiveMinimum():
            return f"more than {kind.limit}"
        case Kind.ExclusiveMaximum():
            return f"less than {kind.limit}"
        case Kind.UniqueItems():
            return "a list without duplicates"
        case _:
            return "as the schema of its type demands"
