"""The OIDC issuers that are believed, and how far: <state>/issuers.yaml, or the file that PENSTOCK_ISSUERS_FILE names.

    issuers:
      - issuer: https://id.example.com/realms/penstock      # exactly as in the tokens' `iss`
        audience: penstock                                   # must be in `aud`
        jwks_url: https://id.example.com/realms/penstock/protocol/openid-connect/certs     # or jwks_file
        gives: [clients, groups]      # what its tokens may prove: identities by client, by subject, roles by group
        client_claim: client_id
        client_proof: {preferred_username: "service-account-{client}"}
        groups_claim: realm_access.roles
        token_url: https://id.example.com/realms/penstock/protocol/openid-connect/token

A Kubernetes cluster is an issuer, too; its service accounts are the clients of their name:

      - issuer: https://kubernetes.default.svc.cluster.local
        audience: penstock
        jwks_url: https://kubernetes.default.svc/openid/v1/jwks
        jwks_ca_file: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt
        jwks_token_file: /var/run/secrets/kubernetes.io/serviceaccount/token    # anonymous requests are refused there
        gives: [clients]
        client_claim: kubernetes.io.serviceaccount.name
        client_proof: {sub: "system:serviceaccount:penstock:{client}"}      # of this namespace only

`token_url` is where identities of this fleet get their own tokens; the first issuer that has it counts. `jwks_ca_file`
holds the certificate authorities of jwks_url where they are not the system's; the token in `jwks_token_file` is sent
with each request for keys.
A client claim alone does not make a token that client's: providers also put it into tokens of people who signed in
through the client. `client_proof` says what tokens of the client itself have besides; the default is the subject.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from penstock.auth.secure_url import is_secure
from penstock.contracts.model_file import read_model
from penstock.errors import Refused

# Signatures with a public key only. An HMAC key would be a secret that this side could also forge tokens with, and
# accepting HMAC beside RSA lets anyone forge with the public key.
Algorithm = Literal["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"]
Gives = Literal["clients", "subjects", "groups"]


class Issuer(BaseModel):
    """One issuer. Seconds: `leeway` for clocks that differ, `refresh` between two reads of the keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = Field(min_length=1, max_length=512)
    audience: str = Field(min_length=1, max_length=512)
    jwks_url: str = ""
    jwks_file: Path | None = None
    jwks_ca_file: Path | None = None
    jwks_token_file: Path | None = None
    algorithms: tuple[Algorithm, ...] = Field(("RS256",), min_length=1)
    leeway: int = Field(30, ge=0, le=300)
    refresh: int = Field(300, ge=10, le=86_400)
    gives: frozenset[Gives]
    client_claim: str = "client_id"
    client_proof: dict[str, str] = {"sub": "{client}"}
    groups_claim: str = "groups"
    token_url: str = ""

    @field_validator("jwks_url", "token_url")
    @classmethod
    def _private(cls, url: str) -> str:
        if url and not is_secure(url):
            raise ValueError(f"{url}: keys and tokens come over https, or from loopback")
        return url

    @model_validator(mode="after")
    def _one_source(self) -> Issuer:
        if bool(self.jwks_url) == bool(self.jwks_file):
            raise ValueError("give either jwks_url or jwks_file")
        if not self.jwks_url and (self.jwks_ca_file or self.jwks_token_file):
            raise ValueError("jwks_ca_file and jwks_token_file go with jwks_url")
        if "clients" in self.gives and not self.client_proof:
            raise ValueError("gives clients, so client_proof must say how a client's own token looks")
        return self


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    issuers: tuple[Issuer, ...] = Field(min_length=1)


def read(path: Path) -> tuple[Issuer, ...]:
    """The issuers in the file. Raises Refused ISSUERS_INVALID."""
    try:
        issuers = read_model(path, _File).issuers
    except OSError as error:
        raise Refused("ISSUERS_INVALID", f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise Refused("ISSUERS_INVALID", f"{path}: {error}") from None
    names = [each.issuer for each in issuers]
    if len(set(names)) != len(names):
        raise Refused("ISSUERS_INVALID", f"{path} has an issuer twice")
    return issuers
