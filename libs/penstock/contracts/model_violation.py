"""What pydantic finds wrong with a request or a file → the sentence and the pointer that its author reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic_core import ErrorDetails

from penstock.contracts import wording

Path = list[str | int]
_NUMBER, _WHOLE_NUMBER, _TEXT = "a number", "a whole number", "text"
_KINDS = {
    "string_type": _TEXT,
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": _WHOLE_NUMBER,
    "int_parsing": _WHOLE_NUMBER,
    "int_from_float": _WHOLE_NUMBER,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}


def violation(errors: Sequence[ErrorDetails], value: Any, *, whole: str = "the request") -> tuple[str, str]:
    """The first member at fault: a sentence and an RFC 6901 pointer. `value` is what was validated.

    Of a member that may be of several kinds pydantic has errors for each: those of the kind that fits best become one
    sentence.
    """
    paths = [_path(error, value) for error in errors]
    path = max((each for each in paths if each[: len(paths[0])] == paths[0]), key=len)
    of_member = [error for error, each in zip(errors, paths, strict=True) if each == path]
    named = wording.name(path, whole)
    # A value of the right kind that breaks a rule says more than the kinds that it could have been instead.
    rule = next((error for error in of_member if error["type"] not in _KINDS), None)
    if rule is None:
        kinds = dict.fromkeys(_KINDS[error["type"]] for error in of_member)
        if _NUMBER in kinds:
            kinds.pop(_WHOLE_NUMBER, None)
        return f"{named} must be {wording.one_of(kinds)}", wording.pointer(path)
    return _sentence(rule, path, named, whole), wording.pointer(path)


def _path(error: ErrorDetails, value: Any) -> Path:
    """The members of the location that the value has; pydantic puts branches of a union and validators between."""
    path: Path = []
    for part in error["loc"]:
        if _has(value, part):
            value = value[part]
        elif error["type"] == "missing" and part == error["loc"][-1]:
            value = None
        else:
            continue
        path.append(part)
    return path


def _has(value: Any, part: str | int) -> bool:
    return part in value if isinstance(value, dict) else isinstance(value, list) and part in range(len(value))


def _sentence(error: ErrorDetails, path: Path, named: str, whole: str) -> str:
    limits = error.get("ctx", {})
    match error["type"]:
        case "missing":
            return f"{named} is missing"
        case "extra_forbidden":
            return f"{named} is not a member of {wording.name(path[:-1], whole)}"
        case "value_error":
            return f"{named}: {limits['error']}" if path else str(limits["error"])
        case "string_pattern_mismatch":
            rule = wording.pattern(limits["pattern"])
        case "string_too_short":
            rule = f"at least {wording.count(limits['min_length'], 'character')} long"
        case "string_too_long":
            rule = f"at most {wording.count(limits['max_length'], 'character')} long"
        case "too_short":
            rule = f"a list of at least {wording.count(limits['min_length'], 'item')}"
        case "too_long":
            rule = f"a list of at most {wording.count(limits['max_length'], 'item')}"
        case "literal_error":
            rule = limits["expected"].replace("'", "")
        case "greater_than_equal":
            rule = f"{limits['ge']} or more"
        case "less_than_equal":
            rule = f"{limits['le']} or less"
        case "greater_than":
            rule = f"more than {limits['gt']}"
        case "less_than":
            rule = f"less than {limits['lt']}"
        case "finite_number":
            rule = "a finite number"
        case _:
            rule = "as /docs describes it"
    return f"{named} must be {rule}"
