"""body of a batch → the bytes of each event, as they were sent.

Nothing is encoded again: one pattern goes from bracket to bracket and over strings as a whole, so that only brackets,
some four to eight an event, cost Python time. The items are cut here and parsed one by one later; if one of them is
not JSON, `check_grammar` says whether the whole body is at fault.
"""

from __future__ import annotations

import json
import re
from itertools import chain

from penstock.errors import Refused
from penstock.events import ijson

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_TO_BRACKET = re.compile(rb'(?:[^][{}"]++|' + _STRING + rb")*+[][{}]", re.DOTALL)
_TOKEN = re.compile(_STRING + rb'|,|[^ \t\r\n,"]+', re.DOTALL)
_WHITE = b" \t\r\n"
_OPENING = b"[{"
_ELSEWHERE = b"{}"  # stands for a neighbour that is an object or array


def guess(body: bytes, most: int) -> list[bytes]:
    """The items of an array of objects with no white space between them, cut wherever `},{` stands: a quarter of the
    work of `split`. Empty when the body is not written so, or holds more than `most`.

    It is right if every item is JSON, for an array can be read in one way only. Where `},{` stood in a string or in an
    array, an item is not JSON, and `split` has the word.
    """
    if body[:2] != b"[{" or body[-2:] != b"}]" or body.count(b"},{") >= most:
        return []
    items, begin = [], 1
    while (end := body.find(b"},{", begin)) > 0:  # and no pieces besides the items: they may be large
        items.append(body[begin : end + 1])
        begin = end + 2
    items.append(body[begin:-1])
    return items


def split(body: bytes, most: int) -> list[bytes]:
    """The items of a JSON array, in order; their insides are not looked at.

    Raises Refused: JSON_INVALID or BATCH_TOO_LONG (more than `most`).
    """
    to_bracket = _TO_BRACKET.match
    items: list[bytes] = []
    depth = end = begin = after = 0  # `after`: behind the item before, or behind the array's bracket
    while (found := to_bracket(body, end)) and len(items) <= most:
        end = found.end()
        if body[end - 1] in _OPENING:
            depth += 1
            if depth == 2:
                begin = end - 1
            elif depth == 1:
                if body[:end].strip(_WHITE) != b"[":
                    break
                after = end
        else:
            depth -= 1
            if depth == 1:
                if body[after:begin].strip(_WHITE) != (b"," if items else b""):
                    items += _scalars(body[after:begin], first=not items, last=False)
                items.append(body[begin:end])
                after = end
            elif depth == 0:
                if body[end - 1 :].strip(_WHITE) != b"]":
                    break
                items += _scalars(body[after : end - 1], first=not items, last=True)
                if len(items) > most:
                    break
                return items
    if len(items) > most:
        raise Refused("BATCH_TOO_LONG", f"the batch holds more than {most} events")
    check_grammar(body)
    raise _not_json("a batch is one JSON array")


def check_grammar(body: bytes) -> None:
    """Raises Refused JSON_INVALID unless the body is one JSON value by grammar, whatever its numbers and strings."""
    try:
        json.loads(body.decode(), parse_int=_ignore, parse_float=_ignore, parse_constant=_constant)
    except ValueError as error:
        raise _not_json(ijson.fault(error)) from None
    except RecursionError:
        raise _not_json("too many levels of objects and arrays") from None


def _scalars(between: bytes, *, first: bool, last: bool) -> list[bytes]:
    """The items between two objects or arrays (or the ends of the batch) that are neither: no events, but items."""
    tokens = _TOKEN.findall(between)
    if not tokens and (first or last):
        return []
    values_and_commas = [*chain([] if first else [_ELSEWHERE], tokens, [] if last else [_ELSEWHERE])]
    values, commas = values_and_commas[::2], values_and_commas[1::2]
    if len(values) != len(commas) + 1 or b"," in values or any(comma != b"," for comma in commas):
        raise _not_json("a comma between two events is missing or too many")
    return values[0 if first else 1 : None if last else -1]


def _not_json(detail: str) -> Refused:
    return Refused("JSON_INVALID", detail)


def _ignore(_: str) -> None:
    return None


def _constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")
