"""error → the WWW-Authenticate header of its answer (RFC 6750 section 3)."""

from __future__ import annotations

from penstock.errors import PenstockError, Refused

_NAME = b"www-authenticate"
_REALM = b'Bearer realm="penstock"'


class NoCredentials(Refused):
    """The request has none, or none that could be read: its answer says how to show some, and of no error."""

    def __init__(self, detail: str) -> None:
        super().__init__("UNAUTHENTICATED", detail)


def challenge(status: int, error: PenstockError) -> list[tuple[bytes, bytes]]:
    """The header, where the status is 401 or 403."""
    match status:
        case 401:
            wrong = b"" if isinstance(error, NoCredentials) else b', error="invalid_token"'
        case 403:  # also of an identity that is denied: another token of it would be, too
            wrong = b', error="insufficient_scope"'
        case _:
            return []
    return [(_NAME, _REALM + wrong)]
