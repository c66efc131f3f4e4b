"""stack/maven/<name>/pom.xml → Maven Central → <cache>/<name>-<version>/: the jars of the Java servers, verified.

Every jar is checked against stack/maven/<name>/jars.sha256 before the folder gets its name, and the folder appears by
one rename: whoever sees it sees it whole, so checkouts share it. `python -m penstock.stack.jars` rewrites the hashes
after a change of version.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from penstock.errors import PenstockError
from penstock.file_lock import locked
from penstock.stack.place import Place

MAVEN = Path(__file__).parent / "maven"
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
DOWNLOAD_TIMEOUT = 1800.0  # seconds


def home(place: Place, name: str, arrange: Callable[[Path], None] = lambda _: None) -> Path:
    """The folder with lib/*.jar of a server, fetched if need be; `arrange` may reshape it before it is published."""
    target = _folder(place, name)
    if installed(place, name):
        return target
    place.cache.mkdir(parents=True, exist_ok=True)
    with locked(place.cache / f"{name}.lock", DOWNLOAD_TIMEOUT):
        if installed(place, name):
            return target  # another checkout was quicker
        shutil.rmtree(target, ignore_errors=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=place.cache))
        try:
            fetch(name, draft / "lib")
            verify(name, draft / "lib")
            arrange(draft)
            (draft / ".complete").touch()
            draft.chmod(0o755)
            draft.rename(target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return target


def installed(place: Place, name: str) -> bool:
    """True if the jars are in the cache, all of them."""
    return (_folder(place, name) / ".complete").exists()


def version(name: str) -> str:
    """The version that the pom fixes."""
    found = re.search(r"<version>([0-9.]+)</version>", (MAVEN / name / "pom.xml").read_text())
    if not found:
        raise PenstockError("INTERNAL", f"stack/maven/{name}/pom.xml has no <version>")
    return found[1]


def fetch(name: str, folder: Path) -> None:
    """Let Maven put all runtime jars of the pom into `folder`. Raises TOOL_MISSING or DOWNLOAD_FAILED."""
    if not shutil.which("mvn"):
        raise PenstockError(
            "TOOL_MISSING", f"Maven, which fetches the jars of {name}, is not installed: apt-get install -y maven"
        )
    pom = MAVEN / name / "pom.xml"
    command = ["mvn", "-B", "-q", "--strict-checksums", "-f", str(pom), PLUGIN]
    command += ["-DincludeScope=runtime", f"-DoutputDirectory={folder}"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT, check=False)
    except subprocess.TimeoutExpired as error:
        raise PenstockError("DOWNLOAD_FAILED", f"the jars of {name}: not done in {DOWNLOAD_TIMEOUT:.0f} s") from error
    if result.returncode:
        end = "\n".join((result.stdout + result.stderr).splitlines()[-15:])
        raise PenstockError(
            "DOWNLOAD_FAILED", f"Maven could not fetch the jars of {name}; is its registry reachable from here?\n{end}"
        )


def verify(name: str, folder: Path) -> None:
    """Refuse jars that are not, all of them and only them, those of jars.sha256 (JARS_CHANGED)."""
    wanted = (MAVEN / name / "jars.sha256").read_text().splitlines()
    if differing := sorted(set(wanted) ^ set(hashes(folder))):
        raise PenstockError(
            "JARS_CHANGED", f"the jars of {name} are not those of stack/maven/{name}/jars.sha256: {differing[:6]}"
        )


def hashes(folder: Path) -> list[str]:
    """One line per jar, or zip of a distribution, in the format of sha256sum."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".jar", ".zip"))
    return [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}" for file in files]


def _folder(place: Place, name: str) -> Path:
    return place.cache / f"{name}-{version(name)}"


def pin() -> None:
    """Rewrite jars.sha256 of every pom from what Maven brings now."""
    for pom in sorted(MAVEN.glob("*/pom.xml")):
        with tempfile.TemporaryDirectory() as folder:
            fetch(pom.parent.name, Path(folder))
            (pom.parent / "jars.sha256").write_text("\n".join(hashes(Path(folder))) + "\n")


if __name__ == "__main__":
    pin()
