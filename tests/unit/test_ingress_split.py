"""A batch is cut into the very bytes that were sent."""

from __future__ import annotations

import json
import random
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.errors import Refused
from penstock.services.ingress.formats.cloudevents.split import check_grammar, guess, split

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
white = st.text(alphabet=" \t\r\n", max_size=3)
as_sent = st.tuples(json_values, st.booleans(), st.sampled_from([None, 1]), white, white).map(
    lambda drawn: (
        json.dumps(drawn[0], ensure_ascii=drawn[1], indent=drawn[2]).encode(errors="replace"),
        drawn[3],
        drawn[4],
    )
)


@given(st.lists(as_sent, min_size=1, max_size=8), white, white)
def test_items_are_the_bytes_as_sent(items: Any, before: Any, behind: Any) -> None:
    inside = b",".join(ahead.encode() + raw + after.encode() for raw, ahead, after in items)
    body = before.encode() + b"[" + inside + b"]" + behind.encode()
    assert split(body, 100) == [raw for raw, _, _ in items]


@given(
    st.lists(json_values, min_size=1, max_size=5),
    st.randoms(use_true_random=False),
    st.sampled_from(b'[]{}",:\\ 1\x00'),
)
@example([{}, {}], random.Random(1), ord("]"))
def test_a_damaged_batch_is_cut_only_if_every_item_shows_the_damage(values: Any, chance: Any, byte: Any) -> None:
    """Where orjson refuses the whole, cutting fails or an item fails by itself; never do all items look sound."""
    sound = orjson.dumps(values)
    where = chance.randrange(len(sound))
    body = sound[:where] + bytes([byte]) + sound[where + 1 :]
    try:
        whole = orjson.loads(body)
    except orjson.JSONDecodeError:
        whole = None
    refusal: Exception | None = None
    items = []
    try:
        items = [orjson.loads(item) for item in split(body, 100)]
    except (Refused, orjson.JSONDecodeError) as error:
        refusal = error
    if refusal is None:
        assert items == whole
    else:
        assert not isinstance(whole, list) or not whole


fragments = st.lists(st.sampled_from(["},{", "}", "{", '"', ",", ":", "\\", "a"]), max_size=8).map("".join)
tricky = st.dictionaries(fragments, fragments | st.lists(st.dictionaries(fragments, fragments), max_size=3), max_size=4)


@given(st.lists(tricky, min_size=1, max_size=6))
@example([{"a": "x},{y"}, {"b": [{}, {}]}])
def test_a_batch_split_without_parsing_is_right_if_every_item_is_json(values: Any) -> None:
    body = orjson.dumps(values)
    try:
        guessed = [orjson.loads(item) for item in guess(body, 100)]
    except orjson.JSONDecodeError:
        return
    if guessed:
        assert guessed == values
        assert guess(body, 100) == split(body, 100)


def test_only_plain_batches_are_split_without_parsing() -> None:
    assert guess(b'[{"a":1},{"b":2},{}]', 3) == [b'{"a":1}', b'{"b":2}', b"{}"]
    assert guess(b'[{"a":1}]', 3) == [b'{"a":1}']
    for body in (b'[{"a":1},{"b":2},{},{}]', b"[]", b"[1]", b'{"a":1}', b" [{}]", b"[{}] ", b""):
        assert guess(body, 3) == []


NO_ARRAYS = """
    {} 1 [ ] [{} {}] [{},] [,{}] [{}{}] [{},,{}] [{}]] [{}]1 ["a""b"] [{}1] ["a] [[}]x {[]} x[] ["\\"] [{}}
"""


@pytest.mark.parametrize("body", ["", *NO_ARRAYS.split()])
def test_what_is_no_array_is_refused(body: Any) -> None:
    with pytest.raises(Refused) as refused:
        split(body.encode(), 10)
    assert refused.value.code == "JSON_INVALID"


@pytest.mark.parametrize("body", [b"[]", b" [ \n] "])
def test_an_empty_batch_holds_no_event(body: bytes) -> None:
    assert split(body, 10) == []


@pytest.mark.parametrize("item", [b"{}", b"1", b'"a,b"'])
def test_one_event_too_many_is_refused(item: Any) -> None:
    assert len(split(b"[" + b",".join([item] * 10) + b"]", 10)) == 10
    with pytest.raises(Refused) as refused:
        split(b"[" + b",".join([item] * 11) + b"]", 10)
    assert refused.value.code == "BATCH_TOO_LONG"


def test_invalid_json_and_json_that_cannot_be_stored_have_different_codes() -> None:
    check_grammar(b'[1e999, "\\ud800", 123456789012345678901234567890]')
    for body in (b"[NaN]", b"[01]", b"\xff", b"\xef\xbb\xbf[]", b"[" * 100_000):
        with pytest.raises(Refused):
            check_grammar(body)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("piece", [b'\\"', b'"', b'"a', b"\\", b" ", b'{"a":"', b"1,"])
def test_hostile_bodies_cost_linear_time(piece: Any) -> None:
    with pytest.raises(Refused):
        split(b'[{"a":"' + piece * (2_000_000 // len(piece)), 10)
