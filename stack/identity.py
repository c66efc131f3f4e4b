"""Who issues tokens: with `auth: callout` the local issuer or Keycloak, and issuers.yaml, which trusts it.

issuers.yaml is written where there is none, and anew as long as it is ours; one that somebody else wrote is left alone.
"""

from __future__ import annotations

from typing import Any

import yaml

from penstock import atomic_file
from penstock.stack import keycloak
from penstock.stack.place import Place

HEAD = "# Made by `penstock up`; changed by hand it stays as it is when this line goes.\n"
AUTHENTICATORS = ("issuer", "authority")  # what must be ready before anybody can connect with a token


def prepare(place: Place) -> None:
    """Writes issuers.yaml for the provider of this place; nothing where identities connect with nkeys."""
    if place.auth == "nkeys" or place.issuers_file is not None:
        return
    path = place.issuers
    if path.exists() and not path.read_text(encoding="utf-8").startswith(HEAD):
        return
    place.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    atomic_file.replace(path, HEAD + yaml.safe_dump({"issuers": [entry(place)]}, sort_keys=False), mode=0o644)


def entry(place: Place) -> dict[str, Any]:
    """The provider as issuers.yaml has it."""
    if place.idp == "keycloak":
        return keycloak.issuer(place)
    return {
        "issuer": place.local_issuer,
        "audience": place.token_audience,
        "jwks_url": f"{place.local_issuer}/jwks",
        "refresh": 60,  # so a new key is known before it signs (issuer_key_ahead)
        "gives": ["clients", "groups"],
        "token_url": f"{place.local_issuer}/token",
    }
