"""pieces of model packages → whole packages. Bounded in number, size and time; what stops half-way is forgotten."""

from __future__ import annotations

import time
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from dataclasses import dataclass, field

from penstock.errors import Refused, Unavailable
from penstock.rpc.messages import UploadChunk
from penstock.scoring.package import MAX_PACKAGE

MOST = 4  # uploads under way
PATIENCE = 300.0  # seconds without a piece, after which an upload is forgotten


@dataclass(slots=True)
class _Upload:
    name: str
    touched: float
    data: bytearray = field(default_factory=bytearray)


class Uploads:
    """The uploads under way, by sender and the number that the sender chose."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._uploads: dict[tuple[str, str], _Upload] = {}

    def add(self, sender: str, chunk: UploadChunk) -> bytes | int:
        """The whole package with its last piece, else the bytes received so far. Sending a piece again is harmless.

        Raises Refused QUERY_INVALID for a piece out of turn, MODEL_INVALID for too many bytes, Unavailable OVERLOADED.
        """
        key = (sender, chunk.upload)
        upload = self._find(key, chunk)
        upload.touched = self._clock()
        try:
            data = b64decode(chunk.data, validate=True)
        except (Base64Error, ValueError):
            raise Refused("QUERY_INVALID", "the piece is not base64", pointer="/data") from None
        received = len(upload.data)
        if chunk.offset > received or (chunk.offset < received and upload.data[chunk.offset :] != data):
            raise Refused(
                "QUERY_INVALID", f"{received} bytes were received; the next piece begins there", pointer="/offset"
            )
        if chunk.offset == received:
            if received + len(data) > MAX_PACKAGE:
                del self._uploads[key]
                raise Refused("MODEL_INVALID", f"the package has more than {MAX_PACKAGE} bytes")
            upload.data += data
        if not chunk.last:
            return len(upload.data)
        del self._uploads[key]
        return bytes(upload.data)

    def _find(self, key: tuple[str, str], chunk: UploadChunk) -> _Upload:
        now = self._clock()
        for old in [k for k, upload in self._uploads.items() if now - upload.touched > PATIENCE]:
            del self._uploads[old]
        upload = self._uploads.get(key)
        if upload is None:
            if chunk.offset:
                raise Refused("QUERY_INVALID", "this upload is not known (any more); begin again", pointer="/upload")
            if len(self._uploads) >= MOST:
                raise Unavailable("OVERLOADED", f"{MOST} uploads are under way", retry_after=30)
            upload = self._uploads[key] = _Upload(chunk.name, now)
        if upload.name != chunk.name:
            raise Refused("QUERY_INVALID", f"this upload is of model {upload.name}", pointer="/name")
        return upload
