"""The folder from which `make test-deploy` runs programs as root."""

from __future__ import annotations

import subprocess
from pathlib import Path

SCRIPT = Path(__file__).with_name("private_folder.sh")


def refused(folder: Path) -> bool:
    found = subprocess.run([SCRIPT, folder], capture_output=True, text=True, timeout=30)
    assert (found.returncode == 0) == (not found.stderr), found.stderr
    return found.returncode != 0


def test_it_is_of_this_user_alone_or_refused(tmp_path: Path) -> None:
    made = tmp_path / "cache" / "engine"
    assert not refused(made)
    assert not refused(made)  # a second run
    assert made.stat().st_mode & 0o777 == 0o700
    link = tmp_path / "link"
    link.symlink_to(made)
    assert refused(link)
    for mode in (0o720, 0o702):
        made.chmod(mode)
        assert refused(made)
