"""Every secret of a place, and everywhere that none of them may be: logs, command lines, environments, records,
configurations that are no secrets themselves, files under version control.

Secrets that nobody here was given, such as the tokens of the fleet, are known by their form.
"""

from __future__ import annotations

import re
import subprocess
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from penstock.stack import process
from penstock.stack.place import CHECKOUT, Place

SHORTEST = 12  # characters; less would be found by chance
_PRIVATE = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s(.*?)-----END", re.DOTALL)
_FORMS = {
    "a token": rb"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
    "an nkey seed": rb"\bS[UAXNCO][A-Z2-7]{56}\b",
    "a bearer key": rb"\bpk_[0-9a-f]{8}_[A-Za-z0-9_-]{43}",
    "a private key": rb"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "credentials in a header": rb"\b(?i:basic|bearer|apikey) [A-Za-z0-9+/_=-]{24,}",
}
FORMS = re.compile(b"|".join(b"(?P<f%d>%b)" % (number, form) for number, form in enumerate(_FORMS.values())))


@dataclass(frozen=True, slots=True)
class Leak:
    """One find: where, and which secret; never the secret itself."""

    where: str
    what: str


class Secrets:
    """All that is secret in the state of a place, and what else the caller knows (by name)."""

    def __init__(self, place: Place, known: dict[str, str]) -> None:
        self._names: dict[bytes, str] = {}
        for path in sorted((*place.credentials_folder.iterdir(), *_files(place.secrets))):
            if path.name.startswith((".", "keys.json")) or path.suffix == ".pub":  # locks, hashes, public keys
                continue
            value = path.read_bytes().strip()
            self._add(value, path.name)
            if path.parent.name == "oidc":  # as it stands in an Authorization header
                self._add(b64encode(path.name.encode() + b":" + value), f"{path.name}, in a header")
        for path in (*_files(place.state / "issuer"), *_files(place.state / "tls")):
            for body in _PRIVATE.findall(path.read_bytes()):
                for line in body.split():
                    self._add(line, f"private key {path.name}")
        for name, text in known.items():
            parts = text.split(".")
            for part in parts[1:] if len(parts) == 3 else parts:  # the head of a token is no secret
                self._add(part.encode(), name)
        self._any = re.compile(b"|".join(map(re.escape, self._names)))

    def __len__(self) -> int:
        return len(self._names)

    def _add(self, value: bytes, name: str) -> None:
        if len(value) >= SHORTEST:
            self._names[value] = name

    def within(self, data: bytes, *, forms: bool = True) -> set[str]:
        """Names of the secrets in the data, and with `forms` of what looks like one."""
        found = {self._names[each] for each in self._any.findall(data)}
        if forms:
            names = list(_FORMS)
            found |= {names[int((each.lastgroup or "f0")[1:])] for each in FORMS.finditer(data)}
        return found


def leaks(place: Place, secrets: Secrets) -> list[Leak]:
    """What is found in the logs, records, configurations and processes of the place, and on anybody's command line."""
    found = []
    for path in log_and_config_files(place):
        found += [Leak(str(path.relative_to(place.state)), what) for what in secrets.within(path.read_bytes())]
    ours = processes(place)
    for pid, command in _everybody():
        mine = pid in ours
        found += [Leak(f"command line of {pid}", what) for what in secrets.within(command, forms=mine)]
        if mine:
            environment = _read(pid, "environ")
            found += [Leak(f"environment of {ours[pid]}", what) for what in secrets.within(environment)]
    return found


def leaks_in_files(files: Iterable[Path], secrets: Secrets) -> list[Leak]:
    """What is found in files under version control; there, forms stand in tests and in documentation."""
    return [Leak(str(path), what) for path in files for what in secrets.within(path.read_bytes(), forms=False)]


def tracked() -> list[Path]:
    """Files under version control; none where this is no checkout."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, timeout=30, check=False)
    paths = [CHECKOUT / name for name in done.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def log_and_config_files(place: Place) -> list[Path]:
    """Logs of all processes and servers, pid records, and configurations that hold no secret by design."""
    found = [path for folder in place.state.glob("**/logs") for path in _files(folder)]
    found += [*_files(place.state / "run"), place.issuers, place.state / "nats" / "nats.conf"]
    found += [place.state / "edge" / "haproxy.cfg", place.keys, *place.state.glob("*/config/**/*.y*ml")]
    return sorted({path for path in found if path.is_file()})


def processes(place: Place) -> dict[int, str]:
    """Every process that runs for the place, by number, with the name of the child that it belongs to."""
    leaders = {record.pid: record.name for record in process.all_recorded(place)}
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            session = int((path / "stat").read_text().rpartition(")")[2].split()[3])
        except (OSError, IndexError):
            continue
        if session in leaders:
            found[int(path.name)] = leaders[session]
    return found


def _everybody() -> Iterator[tuple[int, bytes]]:
    for path in Path("/proc").glob("[0-9]*"):
        yield int(path.name), _read(int(path.name), "cmdline")


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes().replace(b"\0", b"\n")
    except OSError:
        return b""  # gone, or somebody else's


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
