"""A model package: one zip of a SavedModel and what must be known about it; verified before anybody loads it.

saved_model/…          as TensorFlow wrote it
feature_schema.json    how events are read (features.SCHEMA); a scorer of another schema refuses the model
thresholds.json        quantiles of the raw score, per event type
manifest.json          where the training data came from, seed, figures
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from penstock.errors import Refused

MAX_PACKAGE = 32 * 1024 * 1024  # bytes, packed
MAX_UNPACKED = 128 * 1024 * 1024
MAX_FILES = 64
MANIFEST = "manifest.json"
SCHEMA_FILE = "feature_schema.json"
THRESHOLDS = "thresholds.json"
SAVED_MODEL = "saved_model"
NEEDED = (
    MANIFEST,
    SCHEMA_FILE,
    THRESHOLDS,
    f"{SAVED_MODEL}/saved_model.pb",
    f"{SAVED_MODEL}/variables/variables.index",
    f"{SAVED_MODEL}/variables/variables.data-00000-of-00001",
)
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Package:
    """A verified package; `schema` is the SHA-256 of its feature schema, `digest` that of the whole zip."""

    raw: bytes
    digest: str
    schema: str
    manifest: dict[str, Any]

    def unpack(self, folder: Path) -> Path:
        """Writes the files below `folder` and returns the folder of the SavedModel."""
        with zipfile.ZipFile(io.BytesIO(self.raw)) as archive:
            for info in archive.infolist():
                target = folder / info.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(info))
        return folder / SAVED_MODEL


def pack(folder: Path) -> bytes:
    """The zip of a package folder; the same files give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            info = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, path.read_bytes())
    return buffer.getvalue()


def schema_digest(schema: Any) -> str:
    """SHA-256 of a feature schema, written with sorted names."""
    return sha256(orjson.dumps(schema, option=orjson.OPT_SORT_KEYS)).hexdigest()


def verify(raw: bytes, digest: str | None = None) -> Package:
    """Checks the digest, that every file is there and readable, and that nothing lies outside or is too large.

    Raises Refused MODEL_INVALID, naming the rule broken.
    """
    found = sha256(raw).hexdigest()
    if digest is not None and found != digest:
        raise Refused("MODEL_INVALID", f"the package's SHA-256 is {found}, not {digest}")
    if len(raw) > MAX_PACKAGE:
        raise Refused("MODEL_INVALID", f"the package has {len(raw)} bytes; at most {MAX_PACKAGE} are taken")
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            infos = archive.infolist()
            _check_names(infos)
            if archive.testzip() is not None:
                raise Refused("MODEL_INVALID", f"{archive.testzip()} is damaged")
            manifest = orjson.loads(archive.read(MANIFEST))
            schema = orjson.loads(archive.read(SCHEMA_FILE))
    except (zipfile.BadZipFile, orjson.JSONDecodeError, NotImplementedError, RuntimeError, EOFError) as error:
        raise Refused("MODEL_INVALID", f"the package cannot be read: {error}") from None
    if not isinstance(manifest, dict) or not isinstance(schema, dict):
        raise Refused("MODEL_INVALID", f"{MANIFEST} and {SCHEMA_FILE} must hold objects")
    return Package(raw, found, schema_digest(schema), manifest)


def _check_names(infos: list[zipfile.ZipInfo]) -> None:
    names = {info.filename for info in infos}
    missing = [name for name in NEEDED if name not in names]
    if missing:
        raise Refused("MODEL_INVALID", f"the package lacks {', '.join(missing)}")
    if len(infos) > MAX_FILES or len(names) != len(infos):
        raise Refused("MODEL_INVALID", f"the package has {len(infos)} files; at most {MAX_FILES}, each once, are taken")
    if sum(info.file_size for info in infos) > MAX_UNPACKED:
        raise Refused("MODEL_INVALID", f"unpacked, the package has more than {MAX_UNPACKED} bytes")
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name:
            raise Refused("MODEL_INVALID", f"{name!r} lies outside the package")
