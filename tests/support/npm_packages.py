"""Packages of npm at their locked versions, beside the script that uses them, in the cache that checkouts share.

`make test-tools` runs this module, so that the tests themselves need no network.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path

import pytest

from penstock.stack.place import Place

TESTS = Path(__file__).parents[1]
SOURCES = {
    "asyncapi-parser": TESTS / "contracts" / "asyncapi",
    "cloudevents-sdk": TESTS / "broker" / "cloudevents_sdks",
}
NPM_SECONDS = 400
NO_NPM = "npm is needed for this test: apt-get install -y nodejs npm (Node.js 18.18 or newer)"


def installed(name: str) -> Path:
    """A folder with the files of `SOURCES[name]` and the packages of their lock. It appears by one rename."""
    files = sorted(path for path in SOURCES[name].iterdir() if path.is_file())
    digest = sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
    cache = Place().cache
    target = cache / f"{name}-{digest}"
    if target.is_dir():
        return target
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.fail(NO_NPM)
    cache.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=cache))
    try:
        for path in files:
            shutil.copy(path, draft)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=draft, capture_output=True, text=True, timeout=NPM_SECONDS, check=False)
        assert done.returncode == 0, f"npm ci failed: {done.stderr[-2000:]}"
        if not target.is_dir():  # else another checkout was quicker
            draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


if __name__ == "__main__":
    for each in SOURCES:
        installed(each)
