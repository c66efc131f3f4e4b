"""Missing programs: root installs Debian's packages, anybody else reads which and how."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

STACK = Path(__file__).resolve().parents[2] / "stack"
NEEDED = ("bash", "env", "dirname", "cat")


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A PATH without Node.js and npm, on which `apt-get` notes how it is called."""
    for name in NEEDED:
        found = shutil.which(name)
        assert found
        (tmp_path / name).symlink_to(found)
    stub(tmp_path / "promtool", "exit 0")
    stub(tmp_path / "apt-get", f'echo "$@" >> "{tmp_path}/calls"')
    return tmp_path


def stub(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def run(programs: Path, *, user: int) -> subprocess.CompletedProcess[str]:
    stub(programs / "id", f"echo {user}")
    return subprocess.run(
        [STACK / "install_test_tools.sh"],
        env={**os.environ, "PATH": str(programs)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_user_is_told_what_to_install(programs: Path) -> None:
    done = run(programs, user=1000)
    assert done.returncode == 1
    assert done.stderr == (
        "make test: missing: nodejs npm. Install with: sudo apt-get install -y --no-install-recommends nodejs npm\n"
    )
    assert not (programs / "calls").exists()


def test_root_installs_only_what_is_missing(programs: Path) -> None:
    stub(programs / "node", "exit 0")
    assert run(programs, user=0).returncode == 0
    assert (programs / "calls").read_text().splitlines() == [
        "update -qq",
        "install -y --no-install-recommends npm -qq",
    ]


def test_a_failed_installation_is_reported(programs: Path) -> None:
    stub(programs / "apt-get", "exit 100")
    done = run(programs, user=0)
    assert done.returncode == 1
    assert done.stderr == "make test: could not install: nodejs npm\n"


def test_an_old_node_is_refused(programs: Path) -> None:
    stub(programs / "node", "case $1 in --version) echo v16.0.0;; *) exit 1;; esac")
    stub(programs / "npm", "exit 0")
    done = run(programs, user=1000)
    assert done.returncode == 1
    assert done.stderr == "make test: Node.js 18.18 or newer is needed, v16.0.0 is too old\n"
