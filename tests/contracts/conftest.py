"""A copy of contracts/ that a test may break, and the means to break it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock.contracts import find_root

Edit = Callable[[str, Callable[[Any], Any]], None]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """contracts/ copied, beside an empty README.md."""
    (tmp_path / "README.md").write_text("")
    return Path(shutil.copytree(find_root(), tmp_path / "contracts"))


@pytest.fixture
def edit(copy: Path) -> Edit:
    """edit(file, change): applies `change` to the parsed YAML of a file of the copy."""

    def apply(file: str, change: Callable[[Any], Any]) -> None:
        path = copy / file
        body = yaml.safe_load(path.read_text())
        change(body)
        path.write_text(yaml.safe_dump(body, sort_keys=False, allow_unicode=True))

    return apply


def set_member(*path: str, to: Any) -> Callable[[Any], None]:
    """A change for `edit`: gives the member at `path` another value."""

    def change(body: Any) -> None:
        for name in path[:-1]:
            body = body[name]
        body[path[-1]] = to

    return change
