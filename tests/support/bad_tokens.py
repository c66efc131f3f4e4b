"""Tokens that nobody may take: one list for all who verify tokens, edge, ingress, authority and library."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass

from penstock.services.issuer import signing_keys
from tests.support.mint import Mint


@dataclass(frozen=True, slots=True)
class Bad:
    """How to make the token, the code of its refusal, and a part of the reason that the verifier gives for it."""

    make: Callable[[Mint], str]
    code: str
    reason: str


def altered(mint: Mint) -> str:
    """The claims of another under a good signature."""
    head, _, signature = mint.token().split(".")
    body = urlsafe_b64encode(json.dumps(mint.claims("penstock-operator")).encode()).decode().rstrip("=")
    return f"{head}.{body}.{signature}"


def stolen_id(mint: Mint) -> str:
    """Signed by somebody else's key, under the id of ours."""
    folder = mint.folder / "others"
    signing_keys.ensure(folder)
    return mint.stolen_id(folder)


BAD = {
    "expired": Bad(lambda mint: mint.token(life=-60), "TOKEN_EXPIRED", "expired"),
    "not yet valid": Bad(lambda mint: mint.token(nbf=int(time.time()) + 300), "TOKEN_INVALID", "not yet valid"),
    "for another audience": Bad(lambda mint: mint.token(aud="other"), "TOKEN_INVALID", "audience"),
    "for several others": Bad(lambda mint: mint.token(aud=["other", "more"]), "TOKEN_INVALID", "audience"),
    "for nobody": Bad(lambda mint: mint.token(aud=None), "TOKEN_INVALID", "aud"),
    "of another issuer": Bad(lambda mint: mint.token(iss="https://evil.test"), "TOKEN_INVALID", "issuer"),
    "of no issuer": Bad(lambda mint: mint.token(iss=None), "TOKEN_INVALID", "issuer"),
    "without a subject": Bad(lambda mint: mint.token(sub=None), "TOKEN_INVALID", "sub"),
    "with an empty subject": Bad(lambda mint: mint.token(sub=""), "TOKEN_INVALID", "sub"),
    "unsigned": Bad(lambda mint: mint.unsigned(), "TOKEN_INVALID", "'none' is not allowed"),
    "HMAC with the public key": Bad(
        lambda mint: mint.hmac_with_public_key(), "TOKEN_INVALID", "'HS256' is not allowed"
    ),
    "HMAC with the key set": Bad(lambda mint: mint.hmac_with_public_key("jwk"), "TOKEN_INVALID", "'HS256'"),
    "ES256 where RS256 is said": Bad(lambda mint: mint.es256(), "TOKEN_INVALID", "'ES256' is not allowed"),
    "of an unknown key": Bad(lambda mint: mint.unknown_key(), "TOKEN_INVALID", "no key 'elsewhere'"),
    "of another's key": Bad(stolen_id, "TOKEN_INVALID", "signature"),
    "with other claims": Bad(altered, "TOKEN_INVALID", "signature"),
    "with its signature cut off": Bad(lambda mint: mint.token()[:-20], "TOKEN_INVALID", "signature"),
    "no token at all": Bad(lambda _: "gibberish", "TOKEN_INVALID", "no signed JWT"),
}
# Above what any of them reads; at the edge the head of the request is too long before anything is verified.
LONG = Bad(lambda mint: mint.token(padding="x" * 10_000), "TOKEN_INVALID", "characters")
