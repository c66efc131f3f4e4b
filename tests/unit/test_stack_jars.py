"""The cache of jars: whole or not there, and only jars that we know."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from penstock.errors import PenstockError
from penstock.stack import jars
from penstock.stack.place import Place

JAR = b"a jar"
# Stands in for Maven: records that it was called, and puts one jar into the given folder.
MVN = """#!/bin/sh
echo called >> "$CALLS"
for argument; do case "$argument" in -DoutputDirectory=*) folder="${argument#*=}";; esac; done
mkdir -p "$folder" && printf 'a jar' > "$folder/one.jar"
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "mvn").write_text(MVN)
    (tmp_path / "bin" / "mvn").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    (tmp_path / "maven" / "thing").mkdir(parents=True)
    (tmp_path / "maven" / "thing" / "pom.xml").write_text("<project><version>1.2.3</version></project>")
    (tmp_path / "maven" / "thing" / "jars.sha256").write_text(f"{hashlib.sha256(JAR).hexdigest()}  one.jar\n")
    monkeypatch.setattr(jars, "MAVEN", tmp_path / "maven")
    return Place(state=tmp_path / "state", cache=tmp_path / "cache")


def test_two_checkouts_at_once_fetch_once_and_see_the_same_folder(place: Place, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        homes = set(pool.map(lambda _: jars.home(place, "thing"), range(4)))
    assert homes == {tmp_path / "cache" / "thing-1.2.3"}
    assert (tmp_path / "calls").read_text() == "called\n"
    assert (tmp_path / "cache" / "thing-1.2.3" / "lib" / "one.jar").read_bytes() == JAR


def test_a_jar_that_we_do_not_know_is_refused_and_nothing_is_kept(place: Place, tmp_path: Path) -> None:
    (tmp_path / "maven" / "thing" / "jars.sha256").write_text(f"{'0' * 64}  one.jar\n")
    with pytest.raises(PenstockError, match=r"JARS_CHANGED: .*one\.jar"):
        jars.home(place, "thing")
    assert not jars.installed(place, "thing")
    assert [path.name for path in place.cache.iterdir()] == ["thing.lock"]


def test_a_folder_without_its_mark_is_fetched_anew(place: Place) -> None:
    (place.cache / "thing-1.2.3" / "lib").mkdir(parents=True)
    assert (jars.home(place, "thing") / "lib" / "one.jar").exists()


def test_a_missing_maven_is_named_with_the_command_that_installs_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(PenstockError, match=r"TOOL_MISSING: Maven.*apt-get install -y maven"):
        jars.home(place, "thing")


def test_what_maven_says_is_part_of_the_error(place: Place, tmp_path: Path) -> None:
    (tmp_path / "bin" / "mvn").write_text("#!/bin/sh\necho 'no such artifact' >&2; exit 1\n")
    with pytest.raises(PenstockError, match=r"(?s)DOWNLOAD_FAILED.*no such artifact"):
        jars.home(place, "thing")
