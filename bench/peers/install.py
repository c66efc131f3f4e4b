"""The peers' programs, built on demand in the cache: a virtual environment from its lock file, and the Go program."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from penstock.stack.place import Place

HERE = Path(__file__).parent


def python(place: Place) -> Path:
    """The interpreter of the peers' own environment; installed at the first call, and when the lock has changed."""
    lock = HERE / "requirements.lock"
    folder = place.cache / "bench-peers" / f"venv-{_digest(lock)}"
    found = folder / "bin" / "python"
    if not (folder / ".ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True, timeout=120)
        install = "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--require-hashes", "-r", str(lock)
        subprocess.run([str(found), *install], check=True, timeout=900)
        (folder / ".ready").touch()
    return found


def go(place: Place) -> Path | None:
    """The Go program, built when its sources have changed; None on a machine without Go."""
    if shutil.which("go") is None:
        return None
    sources = sorted(path for path in (HERE / "go").iterdir() if path.suffix in {".go", ".mod", ".sum"})
    program = place.cache / "bench-peers" / f"peer-{_digest(*sources)}"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        command = ["go", "build", "-o", str(program), "."]
        subprocess.run(command, cwd=HERE / "go", check=True, timeout=900)
    return program


def _digest(*paths: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:12]
