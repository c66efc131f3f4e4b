"""The part of requirements.lock that some extras of pyproject.toml need, with its hashes, on standard output.

    requirements.py ingress traces      what every process needs, and these extras
    requirements.py --only hatchling    this package and what it needs

So that one lock serves every image. What needs what is read from the lock's own comments ("via"). Standard library
only: it runs before anything is installed.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = "penstock"
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==", re.MULTILINE)
_NAMED = re.compile(r"[A-Za-z0-9._-]+")
_SELF = re.compile(rf"{OURS}\[([^\]]+)\]")


def normal(name: str) -> str:
    """The name as PEP 503 has it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def blocks(lock: str) -> dict[str, str]:
    """Each package of the lock with its lines; one that has a version per Python has both."""
    starts = list(_PINNED.finditer(lock))
    ends = [start.start() for start in starts[1:]] + [len(lock)]
    result: dict[str, str] = {}
    for start, end in zip(starts, ends, strict=True):
        name = normal(start[1])
        result[name] = result.get(name, "") + lock[start.start() : end]
    return result


def needs(found: dict[str, str]) -> dict[str, set[str]]:
    """The packages that each package needs."""
    result: dict[str, set[str]] = {name: set() for name in found}
    for name, lines in found.items():
        comments = re.findall(r"^ +# +(?:via +)?(\S+).*$", lines, re.MULTILINE)
        for needing in (normal(each) for each in comments if each != "via"):
            if needing in result:
                result[needing].add(name)
    return result


def roots(project: dict[str, object], extras: Iterable[str]) -> set[str]:
    """The packages that every process needs, and those of the extras. Raises KeyError for an extra that is none."""
    lines, optional = list(project["dependencies"]), dict(project["optional-dependencies"])  # type: ignore[call-overload]
    waiting = list(extras)
    while waiting:
        for line in optional[waiting.pop()]:
            if own := _SELF.fullmatch(line):
                waiting += [extra.strip() for extra in own[1].split(",")]
            else:
                lines.append(line)
    return {normal(found[0]) for line in lines if (found := _NAMED.match(line))}


def closure(start: set[str], edges: dict[str, set[str]]) -> set[str]:
    """Those packages, what they need, and so on. Raises KeyError for one that the lock has not."""
    result: set[str] = set()
    waiting = list(start)
    while waiting:
        if (name := waiting.pop()) not in result:
            result.add(name)
            waiting += edges[name]
    return result


def select(extras: Iterable[str], *, only: str = "") -> str:
    """The lines of the lock."""
    found = blocks((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    start = {normal(only)} if only else roots(project, extras)
    wanted = closure(start, needs(found))
    return "".join(lines for name, lines in found.items() if name in wanted)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.stdout.write(select((), only=arguments[1]) if arguments[:1] == ["--only"] else select(arguments))
