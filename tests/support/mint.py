"""Signed tokens, valid and invalid: an RSA key, its public set in a file, and claims as the test wants them."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from base64 import urlsafe_b64encode
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jose import jwk, jwt  # type: ignore[import-untyped]

from penstock import secret_file
from penstock.services.issuer import signing_keys

ISSUER = "https://id.test/realms/penstock"
AUDIENCE = "penstock"


class Mint:
    """One issuer with its key set and an issuers.yaml that trusts it, in a folder."""

    def __init__(self, folder: Path, issuer: str = ISSUER) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.issuer = issuer
        self.folder = folder
        self.jwks_file = folder / "jwks.json"
        self.issuers_file = folder / "issuers.yaml"
        secret_file.ensure(folder / "keys" / "first.pem", lambda: _first_key(issuer))
        self.publish()
        self.trust()

    @property
    def keys(self) -> list[signing_keys.Key]:
        return signing_keys.ensure(self.folder / "keys")

    def publish(self, *more: dict[str, Any]) -> None:
        """Writes the public set as it is now."""
        draft = self.jwks_file.with_suffix(".new")
        draft.write_text(json.dumps({"keys": [*(key.public for key in self.keys), *more]}))
        draft.replace(self.jwks_file)

    def entry(self, **changes: Any) -> dict[str, Any]:
        """This issuer as issuers.yaml has it."""
        return {
            "issuer": self.issuer,
            "audience": AUDIENCE,
            "jwks_file": str(self.jwks_file),
            "gives": ["clients", "subjects", "groups"],
            **changes,
        }

    def trust(self, *others: dict[str, Any], **changes: Any) -> None:
        """Writes issuers.yaml."""
        self.issuers_file.write_text(yaml.safe_dump({"issuers": [self.entry(**changes), *others]}))

    def claims(self, subject: str = "penstock-billing", life: float = 300, **changes: Any) -> dict[str, Any]:
        """Claims of a client's own token; a claim that is changed to None is left out."""
        now = int(time.time())
        body = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": subject,
            "client_id": subject,
            "iat": now,
            "exp": int(now + life),
            "jti": f"{subject}-{now}",
            **changes,
        }
        return {name: value for name, value in body.items() if value is not None}

    def token(self, subject: str = "penstock-billing", life: float = 300, **changes: Any) -> str:
        """A good token, but for the claims that are changed."""
        return self.keys[-1].sign(self.claims(subject, life, **changes))

    def person(self, subject: str, *groups: str, life: float = 300, **changes: Any) -> str:
        """A token of a person in these groups, who signed in through a client."""
        return self.token(subject, life, **{"client_id": "penstock-billing", "groups": list(groups), **changes})

    # -- bad ones

    def unsigned(self) -> str:
        return f"{_json({'alg': 'none', 'typ': 'JWT'})}.{_json(self.claims())}."

    def hmac_with_public_key(self, form: str = "pem") -> str:
        """Signed by HMAC with what everybody knows as the secret."""
        key = self.keys[-1]
        public = key.signer.public_key().prepared_key
        secret = {
            "pem": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "jwk": json.dumps(key.public).encode(),
        }[form]
        head = f"{_json({'alg': 'HS256', 'typ': 'JWT', 'kid': key.id})}.{_json(self.claims())}"
        return f"{head}.{_encoded(hmac.digest(secret, head.encode(), hashlib.sha256))}"

    def es256(self) -> str:
        """Signed with an elliptic curve key that is in the set."""
        private = ec.generate_private_key(ec.SECP256R1())
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        signer = jwk.construct(pem, "ES256")
        public = signer.public_key().to_dict()
        text = {name: each.decode() if isinstance(each, bytes) else each for name, each in public.items()}
        self.publish({**text, "kid": "curve", "use": "sig"})
        token: str = jwt.encode(self.claims(), signer, "ES256", headers={"kid": "curve"})
        return token

    def unknown_key(self) -> str:
        """Signed by somebody else's key, under an id that is not in the set."""
        other = signing_keys.Key("elsewhere", self.keys[-1].signer, {})
        return other.sign(self.claims())

    def stolen_id(self, folder: Path) -> str:
        """Signed by somebody else's key, under the id of ours."""
        [other] = signing_keys.ensure(folder)
        return signing_keys.Key(self.keys[-1].id, other.signer, {}).sign(self.claims())


@cache
def _first_key(_issuer: str) -> bytes:
    """Making a key takes a while; the tests of a run share the first one of each issuer."""
    return signing_keys.generate()


def _json(value: dict[str, Any]) -> str:
    return _encoded(json.dumps(value).encode())


def _encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")
