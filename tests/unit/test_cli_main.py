"""The table of command groups says what is in them: a name that is missing there would load everything."""

import importlib

import pytest

from penstock.cli.main import GROUPS


@pytest.mark.parametrize("module", [module for module, names in GROUPS.items() if not isinstance(names, str)])
def test_top_level_commands_are_listed(module: str) -> None:
    app = importlib.import_module(module).app
    found = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert found == set(GROUPS[module])
