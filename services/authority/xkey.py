"""The envelope between server and authority: `xkv1`, a nonce of 24 bytes, a NaCl box (nats-io/nkeys, xkeys.go).

A request holds the client's token, so it is encrypted for the authority's curve key, and the answer for the key of
the server that asked, which comes in the header Nats-Server-Xkey.
"""

from __future__ import annotations

from collections import OrderedDict

from nacl.exceptions import CryptoError
from nacl.public import Box, PrivateKey, PublicKey

from penstock.auth.callout_keys import decode_curve_key

SERVER_KEY_HEADER = "Nats-Server-Xkey"
_VERSION = b"xkv1"
_MOST_PEERS = 100  # servers of a cluster; each restart of one makes a new key


class Envelope:
    """Opens and seals with one private key; the shared secret of each peer is computed once."""

    def __init__(self, private: PrivateKey) -> None:
        self._private = private
        self._boxes: OrderedDict[str, Box] = OrderedDict()

    def open(self, sealed: bytes, peer: str) -> bytes:
        """The content that `peer` (X…) sealed for us. Raises ValueError."""
        if not sealed.startswith(_VERSION):
            raise ValueError("not encrypted")
        try:
            return self._box(peer).decrypt(sealed[len(_VERSION) :])
        except CryptoError:
            raise ValueError("cannot be decrypted") from None

    def seal(self, content: bytes, peer: str) -> bytes:
        """The content so that only `peer` can read it. Raises ValueError."""
        return _VERSION + bytes(self._box(peer).encrypt(content))

    def _box(self, peer: str) -> Box:
        box = self._boxes.get(peer)
        if box is None:
            box = self._boxes[peer] = Box(self._private, PublicKey(decode_curve_key(peer)))
            if len(self._boxes) > _MOST_PEERS:
                self._boxes.popitem(last=False)
        return box
