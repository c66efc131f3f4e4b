"""YAML by libyaml: every process reads contracts/ when it starts, and PyYAML's own parser takes ten times as long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


def parse(text: str) -> Any:
    """The value of a YAML text. Raises yaml.YAMLError."""
    return yaml.load(text, yaml.CSafeLoader)


def read(path: Path) -> Any:
    """The value of a YAML file in UTF-8. Raises OSError, UnicodeDecodeError, yaml.YAMLError."""
    return parse(path.read_text(encoding="utf-8"))
