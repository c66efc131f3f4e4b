"""Merge patches as RFC 7396 has them, on payloads that stay I-JSON."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from penstock.errors import Refused
from penstock.services.operator.dead_letters import patch

# Appendix A of RFC 7396
EXAMPLES: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("target", "change", "result"), EXAMPLES)
def test_the_examples_of_the_standard(target: Any, change: Any, result: Any) -> None:
    assert orjson.loads(patch.apply(change, orjson.dumps(target))) == result


def test_numbers_beyond_64_bits_stay_as_they_are() -> None:
    assert patch.apply({"a": 1}, b'{"n": 123456789012345678901234567890}') == (
        b'{"n":123456789012345678901234567890,"a":1}'
    )


@pytest.mark.parametrize(
    ("change", "payload", "code"),
    [
        ({"a": 1}, b"no json", "JSON_INVALID"),
        ({"a": 1}, b'{"a": 1, "a": 2}', "MEMBER_DUPLICATE"),
        ({"a": "x" * 300_000}, b"{}", "EVENT_TOO_LARGE"),
        ({"a": "\ud800"}, b"{}", "JSON_INVALID"),
    ],
)
def test_what_does_not_fit_is_refused(change: Any, payload: bytes, code: str) -> None:
    with pytest.raises(Refused) as caught:
        patch.apply(change, payload)
    assert caught.value.code == code


def test_equal_patches_have_one_digest() -> None:
    texts = {patch.canonical({"a": 1, "b": None}), patch.canonical({"b": None, "a": 1})}
    assert texts == {'{"a":1,"b":null}'}
    assert len(patch.digest(texts.pop())) == 64
