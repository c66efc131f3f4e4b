"""What the registry and the scorer refuse of a model package."""

from __future__ import annotations

import io
import zipfile
from hashlib import sha256
from pathlib import Path

import orjson
import pytest

from penstock.errors import Refused
from penstock.scoring import package
from penstock.scoring.features import SCHEMA, SCHEMA_DIGEST

FILES = dict.fromkeys(package.NEEDED, b"{}") | {package.SCHEMA_FILE: orjson.dumps(dict(SCHEMA))}


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def refusal(raw: bytes, digest: str | None = None) -> str:
    with pytest.raises(Refused) as caught:
        package.verify(raw, digest)
    assert caught.value.code == "MODEL_INVALID"
    return caught.value.detail


def test_a_whole_package_is_taken_with_its_digests() -> None:
    raw = zipped(FILES)
    verified = package.verify(raw, sha256(raw).hexdigest())
    assert (verified.digest, verified.schema) == (sha256(raw).hexdigest(), SCHEMA_DIGEST)


def test_another_digest_is_refused() -> None:
    assert "SHA-256" in refusal(zipped(FILES), "0" * 64)


@pytest.mark.parametrize("missing", package.NEEDED)
def test_a_missing_file_is_named(missing: str) -> None:
    assert missing in refusal(zipped({name: data for name, data in FILES.items() if name != missing}))


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "saved_model/../../evil", "a\\..\\b"])
def test_a_file_outside_is_refused(name: str) -> None:
    assert "outside" in refusal(zipped({**FILES, name: b"x"}))


def test_a_damaged_package_is_refused() -> None:
    raw = bytearray(zipped(FILES))
    raw[raw.index(b'{"version"') + 2] ^= 1
    assert "is damaged" in refusal(bytes(raw)) or "cannot be read" in refusal(bytes(raw))
    assert "cannot be read" in refusal(b"not a zip")
    assert "must hold objects" in refusal(zipped({**FILES, package.MANIFEST: b"[]"}))
    assert "cannot be read" in refusal(zipped({**FILES, package.MANIFEST: b"{"}))


def test_what_unpacks_to_too_much_is_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in FILES.items():
            archive.writestr(name, data)
        archive.writestr("bomb", b"\0" * (package.MAX_UNPACKED + 1))
    assert "unpacked" in refusal(buffer.getvalue())


def test_packing_is_repeatable_and_unpacks_to_the_same_files(tmp_path: Path) -> None:
    for name, data in FILES.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(data)
    raw = package.pack(tmp_path / "in")
    assert raw == package.pack(tmp_path / "in")
    saved = package.verify(raw).unpack(tmp_path / "out")
    assert saved == tmp_path / "out" / package.SAVED_MODEL
    assert {
        p.relative_to(tmp_path / "out").as_posix(): p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()
    } == FILES
