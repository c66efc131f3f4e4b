"""A model package of several chunks, for the registry: all files are there, and TensorFlow could load none of them."""

from __future__ import annotations

import io
import random
import zipfile

import orjson

from penstock.rpc.messages import MAX_CHUNK
from penstock.scoring.features import SCHEMA
from penstock.scoring.package import MANIFEST, NEEDED, SCHEMA_FILE

TYPE = "log.line.v1"


def blank_package(number: int = 1) -> bytes:
    """The same bytes for the same number."""
    files = dict.fromkeys(NEEDED, random.Random(number).randbytes(MAX_CHUNK)) | {
        SCHEMA_FILE: orjson.dumps(dict(SCHEMA)),
        MANIFEST: orjson.dumps({"types": [TYPE], "number": number}),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()
