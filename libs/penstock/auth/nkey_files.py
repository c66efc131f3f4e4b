"""One nkey per identity: the seed in <folder>/<identity>.nk, mode 600; the server knows the public key only.

The public key is beside it, in <identity>.pub: whoever reads the server's reports learns from these who a key is.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

import nkeys  # type: ignore[import-untyped]

from penstock import atomic_file
from penstock.contracts import Contracts
from penstock.errors import Refused


def ensure(contracts: Contracts, folder: Path) -> dict[str, str]:
    """The public key of every identity; makes the seeds that are missing and leaves the others as they are.

    Raises Refused CREDENTIALS_INVALID when a file is no seed of a user or others may read it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys = {identity: _public_key(path) for identity, path in _paths(contracts, folder).items() if _create(path)}
    for identity, key in keys.items():
        beside = folder / f"{identity}.pub"
        if not beside.exists() or beside.read_text(encoding="ascii") != key:
            beside.write_text(key, encoding="ascii")
    return keys


def names(folder: Path) -> dict[str, str]:
    """The identity of each public key in the folder."""
    return {path.read_text(encoding="ascii").strip(): path.stem for path in folder.glob("[a-z]*.pub")}


def public_keys(contracts: Contracts, folder: Path) -> dict[str, str]:
    """The public key of every identity that has a seed in the folder; makes nothing."""
    return {name: _public_key(path) for name, path in _paths(contracts, folder).items() if path.exists()}


def _paths(contracts: Contracts, folder: Path) -> Mapping[str, Path]:
    return {identity: folder / f"{identity}.nk" for identity in contracts.identities}


def _create(path: Path) -> bool:
    """Writes a new seed unless there is one. Two processes that start at once end up with the same seed."""
    if not path.exists():
        atomic_file.create(path, nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER))
    return True


def _public_key(path: Path) -> str:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise Refused("CREDENTIALS_INVALID", f"{path} may be read by others; its mode must be 600")
    try:
        public: bytes = nkeys.from_seed(bytearray(path.read_bytes().strip())).public_key
    except Exception as error:  # nkeys raises its own types, binascii's and nacl's
        raise Refused("CREDENTIALS_INVALID", f"{path} holds no nkey seed") from error
    if not public.startswith(b"U"):
        raise Refused("CREDENTIALS_INVALID", f"{path} holds the seed of something else than a user")
    return public.decode()
