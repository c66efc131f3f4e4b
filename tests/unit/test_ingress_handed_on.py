"""What the edge says counts only where the ingress has verified the same."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.errors import Refused
from penstock.services.ingress.access.edge_identity import MOST_APART_NS, must_agree, received_ns

NOW = 1_795_000_000_000_000_000
ISSUER, SUBJECT = "https://id.test/a", "ann b"
AGREED = [(b"x-auth-issuer", b"https%3A%2F%2Fid.test%2Fa"), (b"x-auth-subject", b"ann%20b")]


def scope(*fields: tuple[bytes, bytes]) -> dict[str, object]:
    return {"headers": [(b"host", b"x"), *fields]}


def agrees(*arguments: Any) -> bool:
    try:
        must_agree(*arguments)
    except Refused:
        return False
    return True


def test_no_edge_headers_or_matching_ones_are_accepted() -> None:
    assert agrees(scope())
    assert agrees(scope(), ISSUER, SUBJECT)
    assert agrees(scope(*AGREED), ISSUER, SUBJECT)
    assert agrees(scope(*AGREED[::-1]), ISSUER, SUBJECT)
    assert not agrees(scope(*AGREED), ISSUER, "eve")


@pytest.mark.parametrize(
    "fields",
    [
        AGREED[:1],
        AGREED[1:],
        [*AGREED, AGREED[1]],
        [*AGREED, (b"x-auth-subject", b"eve")],
        [AGREED[0], (b"x-auth-subject", b"eve")],
        [(b"x-auth-issuer", b""), AGREED[1]],
        [AGREED[0], (b"x-auth-subject", b"ann+b")],
        [AGREED[0], (b"x-auth-subject", b"")],
    ],
)
def test_edge_headers_that_differ_from_the_verified_token_are_refused(fields: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(Refused, match="UNAUTHENTICATED"):
        must_agree(scope(*fields), ISSUER, SUBJECT)


def test_edge_identity_headers_beside_an_api_key_are_refused() -> None:
    with pytest.raises(Refused, match="UNAUTHENTICATED"):
        must_agree(scope(*AGREED))
    with pytest.raises(Refused, match="UNAUTHENTICATED"):
        must_agree(scope((b"x-auth-issuer", b""), (b"x-auth-subject", b"")), "", "someone")


def test_the_edge_s_time_of_receipt_is_used_within_bounds() -> None:
    assert received_ns({b"penstock-received": b"%d" % (NOW // 1000 - 5)}, NOW) == NOW - 5_000


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"-1",
        b"+1795000000000000",
        b"1795000000000000.5",
        b"1e15",
        b"9" * 400,
        "１７９５".encode(),
        b"%d" % ((NOW - MOST_APART_NS) // 1000),
        b"%d" % ((NOW + MOST_APART_NS) // 1000),
        b"0",
    ],
)
def test_a_time_of_receipt_out_of_bounds_is_replaced_by_now(text: bytes) -> None:
    assert received_ns({b"penstock-received": text}, NOW) == NOW
    assert received_ns({}, NOW) == NOW
