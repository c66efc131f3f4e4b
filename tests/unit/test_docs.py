"""What the documents name exists: files, folders, make targets, and the functions in the walk through the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.md")]
)
ARCHITECTURE = "docs/architecture.md"
FOLDERS = ("contracts", "libs", "services", "stack", "tests", "bench", "docs", "examples", "helm")

_LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)]*)?\)")
_PATH = re.compile(rf"(?<![\w./<>-])((?:{'|'.join(FOLDERS)}|penstock)/[\w./*-]*[\w*])")
_CODE = re.compile(r"`([^`\n]+)`")
_STEP = re.compile(r"`(?P<name>[A-Za-z_][\w.]*)`\s+in\s+\[[^\]]*\]\((?P<path>[^)]+\.py)\)")


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def exists(path: str) -> bool:
    """Whether the path, as a checkout or an import has it, matches a file or folder."""
    base = ROOT / "libs" if path.startswith("penstock/") else ROOT
    return (base / path).exists() or any(base.glob(path))


def symbols(path: Path) -> set[str]:
    """Names of the module's functions, classes and constants, and of methods as `Class.method`."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {
                f"{node.name}.{each.name}"
                for each in node.body
                if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
            }
        if isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_to_a_file(document: str) -> None:
    links = [link for link in _LINK.findall(text_of(document)) if "://" not in link]
    assert [link for link in links if not ((ROOT / document).parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_in_code_exists(document: str) -> None:
    paths = [path for code in _CODE.findall(text_of(document)) for path in _PATH.findall(code)]
    assert [path for path in paths if not exists(path)] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_make_target_exists(document: str) -> None:
    targets = set(re.findall(r"(?:`|^ {4})make ([a-z]+)", text_of(document), re.MULTILINE))
    defined = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert targets - defined == set()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_function_is_in_the_file_that_is_named_for_it(document: str) -> None:
    named = [(step["name"], step["path"]) for step in _STEP.finditer(text_of(document))]
    folder = (ROOT / document).parent
    assert [each for each in named if each[0] not in symbols((folder / each[1]).resolve())] == []
    assert len(named) > 20 or document != ARCHITECTURE


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_test_that_is_named_is_named_with_its_file(document: str) -> None:
    named = re.findall(r"`(test_\w+)`", text_of(document))
    with_file = [step["name"] for step in _STEP.finditer(text_of(document)) if step["name"].startswith("test_")]
    assert sorted(named) == sorted(with_file)


@pytest.mark.parametrize(
    ("document", "heading", "untested"),
    [("README.md", "What is guaranteed", set()), ("SECURITY.md", "Trust boundaries", {"10"})],
)
def test_every_guarantee_names_the_tests_that_prove_it(document: str, heading: str, untested: set[str]) -> None:
    [section] = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", text_of(document), re.MULTILINE | re.DOTALL)
    promised = set(re.findall(r"^(\d+)\. \*\*", section, re.MULTILINE))
    tested = {
        number for number, tests in re.findall(r"^\| (\d+) \| (.*) \|$", section, re.MULTILINE) if "`test_" in tests
    }
    assert len(promised) > 5
    assert promised - untested == tested
