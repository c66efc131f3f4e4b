"""uvicorn's HTTP/1.1, without trailers: fields behind a chunked body would otherwise join those of the head.

llhttp reports both alike, and uvicorn appends both to the list that the application gets. A proxy that strips or sets
fields looks at the head only, so a client could give fields behind its body that the proxy would never let through
(RFC 9110 section 6.5.1: a recipient must not merge trailers unless it knows that this is safe).
"""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class Protocol(HttpToolsProtocol):
    """The head ends where it ends."""

    def on_headers_complete(self) -> None:
        """Called by the parser; what it reports later goes into a list that nobody reads."""
        self.scope["headers"] = list(self.headers)
        super().on_headers_complete()
