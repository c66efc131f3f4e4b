"""The groups of tests name the files that are there."""

from __future__ import annotations

from pathlib import Path

from tests.support.groups import FULL_STACK, ON_FULL_STACK, group

TESTS = Path(__file__).resolve().parent.parent


def test_what_uses_the_full_stack_is_one_group() -> None:
    users = {
        path.relative_to(TESTS.parent).as_posix()
        for path in TESTS.rglob("test_*.py")
        if "full_stack: FullStack" in path.read_text() and path != Path(__file__).resolve()
    }
    assert users == set(ON_FULL_STACK)
    assert {group(f"{path}::test") for path in users} == {FULL_STACK}
