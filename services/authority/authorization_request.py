"""A server's request (JWT of type authorization_request) → what is asked, of whose connection, with which token."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from penstock.services.authority import user_jwt

AUDIENCE = "nats-authorization-request"
LONGEST_CONNECTION_TEXT = 128  # characters of what a client says of itself


@dataclass(frozen=True, slots=True)
class Request:
    """`connection_key` is a key that the server made for this connection only; it binds the answer to it."""

    server: str
    server_name: str
    connection_key: str
    token: str = field(repr=False)
    host: str
    client: str
    expires_at: int


def read(text: str, issuer: str) -> Request:
    """Takes the request apart. `issuer` is our own account key, which the request must be for. Raises ValueError."""
    claims = user_jwt.from_server(text)
    body = claims.get("nats")
    if claims.get("aud") != AUDIENCE or claims.get("sub") != issuer or not isinstance(body, dict):
        raise ValueError("no request for this authority")
    if body.get("type") != "authorization_request":
        raise ValueError("no authorization request")
    server, info, options = body.get("server_id"), body.get("client_info"), body.get("connect_opts")
    if not (isinstance(server, dict) and isinstance(info, dict) and isinstance(options, dict)):
        raise ValueError("server, client or options missing")
    if server.get("id") != claims["iss"]:
        raise ValueError("signed by another server than it names")
    return Request(
        server=server["id"],
        server_name=_text(server, "name"),
        connection_key=_key(body),
        token=options["auth_token"] if isinstance(options.get("auth_token"), str) else "",
        host=_text(info, "host"),
        client=" ".join(filter(None, (_text(options, "name"), _text(options, "lang"), _text(options, "version")))),
        expires_at=int(claims.get("exp", 0)),
    )


def _key(body: dict[str, Any]) -> str:
    key = body.get("user_nkey")
    if not isinstance(key, str) or not key.startswith("U"):
        raise ValueError("no key of the connection")
    return key


def _text(body: dict[str, Any], name: str) -> str:
    return str(body.get(name, ""))[:LONGEST_CONNECTION_TEXT]
