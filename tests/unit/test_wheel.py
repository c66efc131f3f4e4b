"""What the wheel installs: one top-level package, with the data files that its code reads."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = ("services/edge/templates", "services/writer/migrations", "stack/maven")


def build(source: Path, target: str, to: Path) -> Path:
    """The archive that hatchling makes of a source tree."""
    command = (sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(to))
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=60)
    [archive] = to.glob("penstock-*")
    return archive


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> frozenset[str]:
    return frozenset(zipfile.ZipFile(build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))).namelist())


def test_the_wheel_installs_nothing_but_penstock(wheel: frozenset[str]) -> None:
    top = {name.partition("/")[0] for name in wheel}
    assert {name for name in top if not name.endswith(".dist-info")} == {"penstock"}


def test_the_wheel_has_every_module_and_every_data_file(wheel: frozenset[str]) -> None:
    libs = ROOT / "libs" / "penstock"
    modules = {path.relative_to(libs).as_posix() for path in libs.rglob("*.py")}
    for folder in ("services", "stack"):  # linked into libs/penstock; Path.rglob does not follow links
        modules |= {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*.py")}
    data = {p.relative_to(ROOT).as_posix() for folder in DATA for p in (ROOT / folder).rglob("*") if p.is_file()}
    contracts = ROOT / "contracts"
    data |= {f"_contracts/{p.relative_to(contracts).as_posix()}" for p in contracts.rglob("*") if p.is_file()}
    expected = {f"penstock/{name}" for name in modules | data if "__pycache__" not in name}
    assert expected - wheel == set()


def test_a_wheel_from_the_source_distribution_is_the_same(wheel: frozenset[str], tmp_path: Path) -> None:
    with tarfile.open(build(ROOT, "sdist", tmp_path / "sdist")) as archive:
        archive.extractall(tmp_path, filter="data")
    [source] = tmp_path.glob("penstock-*")
    assert frozenset(zipfile.ZipFile(build(source, "wheel", tmp_path / "wheel")).namelist()) == wheel
