"""The type of a field decides what a value is, also when it comes as text from a shell or a form."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.cli.search import condition
from penstock.contracts import FieldKind
from penstock.errors import Refused
from penstock.rpc.messages import Filter
from penstock.services.indexer.search.values import fit


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("recipientAccountId=012345678901", "keyword", "012345678901"),
        ("thread=7", "keyword", "7"),
        ("level=30", "keyword", "30"),
        ("host=nan", "keyword", "nan"),
        ("host=true", "keyword", "true"),
        ("host=1e5", "keyword", "1e5"),
        ("pid=77", "long", 77),
        ("pid=0077", "long", 77),
        ("line=9007199254740993", "long", 9007199254740993),
        ("value>=0.5", "double", 0.5),
        ("value<-1e-3", "double", -0.001),
        ("readOnly=true", "boolean", True),
        ("readOnly=false", "boolean", False),
    ],
)
def test_a_condition_from_the_command_line(text: str, kind: FieldKind, value: Any) -> None:
    asked = Filter.model_validate(condition(text))
    found = fit(asked.value, asked, kind)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("pid=seven", "long"),
        ("pid=1_000", "long"),
        ("pid=99999999999999999999", "long"),
        ("value=nan", "double"),
        ("value=inf", "double"),
        ("value=1e999", "double"),
        ("value=" + "1" * 100, "double"),
        ("readOnly=yes", "boolean"),
        ("readOnly=1", "boolean"),
    ],
)
def test_what_is_no_value_of_the_type_is_refused(text: str, kind: FieldKind) -> None:
    asked = Filter.model_validate(condition(text))
    with pytest.raises(Refused) as refused:
        fit(asked.value, asked, kind)
    assert refused.value.code == "QUERY_INVALID"
