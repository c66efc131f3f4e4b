"""I-JSON: what orjson lets pass and a store would choke on is found."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import Refused
from penstock.events import ijson

TEXT = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(['"', "\\", '\\"', ":", '":', "{}", "\\\\"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES, st.booleans(), st.sampled_from([None, 1, "\n"]))
def test_every_clean_value_passes(value: Any, ascii: bool, indent: int | str | None) -> None:
    raw = json.dumps(value, ensure_ascii=ascii, indent=indent).encode()
    assert ijson.parse(raw) == value
    assert json.loads(ijson.one_line(raw)) == value


@given(st.dictionaries(TEXT, VALUES, min_size=1, max_size=4), st.data())
def test_a_member_given_twice_is_always_found(value: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(value)))
    body = json.dumps(value)
    raw = f"[{body[:-1]}, {json.dumps(name)}: 1}}]".encode()
    with pytest.raises(Refused, match="MEMBER_DUPLICATE"):
        ijson.parse(raw)


@pytest.mark.parametrize(
    ("raw", "code", "pointer"),
    [
        (b"", "JSON_INVALID", ""),
        (b"{} {}", "JSON_INVALID", ""),
        (b'{"a":NaN}', "JSON_INVALID", ""),
        (b'{"a":Infinity}', "JSON_INVALID", ""),
        (b"{'a':1}", "JSON_INVALID", ""),
        (b'{"a":1,}', "JSON_INVALID", ""),
        (b'"\xff"', "JSON_INVALID", ""),
        (b'"\xc0\x80"', "JSON_INVALID", ""),
        (b'"\\ud800"', "JSON_INVALID", ""),
        (b'"\xed\xa0\x80"', "JSON_INVALID", ""),
        (b'"a\nb"', "JSON_INVALID", ""),
        (b'\xef\xbb\xbf{"a":1}', "JSON_INVALID", ""),
        (b'{"a":1e999}', "NUMBER_UNFIT", ""),
        (b'{"a":-1e999}', "NUMBER_UNFIT", ""),
        (b'{"a":1' + b"0" * 64 + b"}", "NUMBER_UNFIT", ""),
        (b'{"a":0.' + b"1" * 2000 + b"}", "NUMBER_UNFIT", ""),
        (b"[" * 33 + b"]" * 33, "NESTED_TOO_DEEP", ""),
        (b"[" * 100_000 + b"]" * 100_000, "NESTED_TOO_DEEP", ""),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "NESTED_TOO_DEEP", ""),
        (b'{"a":1,"a":2}', "MEMBER_DUPLICATE", "/a"),
        (b'{"a":1,"\\u0061":2}', "MEMBER_DUPLICATE", "/a"),
        (b'{"x":[{"a/b":1,"c":":","a/b":2}]}', "MEMBER_DUPLICATE", "/a~1b"),
    ],
)
def test_what_cannot_be_stored_is_refused(raw: bytes, code: str, pointer: str) -> None:
    with pytest.raises(Refused) as refusal:
        ijson.parse(raw)
    assert (refusal.value.code, refusal.value.pointer) == (code, pointer)


def test_the_deepest_and_the_longest_that_pass() -> None:
    assert ijson.parse(b"[" * 32 + b"]" * 32) is not None
    assert ijson.parse(b'{"a":' + b"1" * 64 + b"}") is not None
    wide = b"[" + b",".join([b'{"a":[]}'] * 500) + b"]"
    assert len(ijson.parse(wide)) == 500
