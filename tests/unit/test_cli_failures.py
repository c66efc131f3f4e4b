"""Whatever stops a command: code, sentence and a next step that works in a shell, without Python or HTTP in it."""

from __future__ import annotations

import os
import re
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from penstock.cli import main, model
from penstock.cli.failure import failure_of
from penstock.contracts import load, step_in_shell
from penstock.errors import PenstockError
from penstock.provisioning import certificate
from penstock.settings import load_settings
from penstock.stack.place import CHECKOUT, Place
from tests.support.sentences import MACHINE

# What cannot be acted on where there is a command line and no request.
ONLY_OVER_HTTP = re.compile(r"Retry-After|`pointer`|Authorization:|Allow header|/docs\b|/v1/|Content-Type")
# Codes that are about the form of an HTTP request, which the commands write themselves.
OF_REQUESTS = {"CONTENT_TYPE_UNKNOWN", "REQUEST_MALFORMED", "JSON_INVALID"}


@pytest.mark.parametrize("code", sorted(load().errors.keys() - OF_REQUESTS))
def test_every_code_has_a_next_step_for_a_shell(code: str) -> None:
    step = step_in_shell(code)
    assert not ONLY_OVER_HTTP.search(step), step
    assert not MACHINE.search(step), step


@pytest.mark.parametrize("code", sorted(load().errors))
def test_no_title_or_next_step_speaks_like_a_machine(code: str) -> None:
    entry = load().errors[code]
    assert not MACHINE.search(f"{entry.title}\n{entry.next_step}")


def penstock(state: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """Exit status and standard error of a command with a state folder of its own."""
    settings = {"PENSTOCK_STATE": str(state), "XDG_CONFIG_HOME": str(state), "PATH": "/usr/bin:/bin", **environment}
    done = subprocess.run(
        [sys.executable, "-m", "penstock.cli.main", *arguments],
        env={**settings, "PYTHONPATH": f"{CHECKOUT / 'libs'}:{CHECKOUT}"},
        cwd=state,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "words"),
    [
        (("whoami",), {"PENSTOCK_URL": "127.0.0.1:7410"}, "SETTING_INVALID", "it must begin with https://"),
        (("whoami",), {"PENSTOCK_PORT_BASE": "many"}, "SETTING_INVALID", "`PENSTOCK_PORT_BASE` must be a whole number"),
        (("whoami",), {"PENSTOCK_PORT_BASE": "70000"}, "SETTING_INVALID", "`PENSTOCK_PORT_BASE` must be 65000 or less"),
        (("status",), {"PENSTOCK_IDP": "okta"}, "SETTING_INVALID", "`PENSTOCK_IDP` must be local or keycloak"),
        (("whoami",), {}, "UNAUTHENTICATED", "penstock key create --save"),
        (("whoami",), {"PENSTOCK_KEY": "pk_x"}, "SERVICE_UNAVAILABLE", "penstock up"),
        (("whoami",), {"PENSTOCK_KEY": "pk_x", "PENSTOCK_URL": "https://127.0.0.1:1", "PENSTOCK_CA_FILE": "/no/ca.pem"},
         "FILE_UNUSABLE", "/no/ca.pem: No such file or directory"),
        (("key", "create", "--identity", "me", "--offline"), {"PENSTOCK_KEYS_FILE": "/proc/no/keys.json"},
         "FILE_UNUSABLE", "/proc/no"),
        (("key", "create", "--identity", "Me!", "--offline"), {}, "KEY_INVALID", "with a letter first"),
        (("login",), {"PENSTOCK_AUTH": "nkeys"}, "LOGIN_FAILED", "no issuer for people"),
    ],
)  # fmt: skip
def test_a_command_that_cannot_go_on_says_what_to_do(
    tmp_path: Path, arguments: tuple[str, ...], environment: dict[str, str], code: str, words: str
) -> None:
    status, err = penstock(tmp_path, *arguments, **({"PENSTOCK_PORT_BASE": "64000"} | environment))
    assert (status, err.split()[:1]) == (1, [code]), err
    assert words in err
    assert "Traceback" not in err
    assert not MACHINE.search(err), err


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (
            '{"code": "HISTORY_TOO_SHORT", "detail": "3 events are there to train on; 100 are needed"}',
            "HISTORY_TOO_SHORT",
        ),
        ("killed", "CHILD_DIED"),
        ("", "CHILD_DIED"),
    ],
)
def test_a_training_that_fails_is_an_error_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, code: str
) -> None:
    trainer = tmp_path / "trainer"
    trainer.write_text(f"#!/bin/sh\necho '{said}'\nexit 1\n")
    trainer.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(trainer))
    with pytest.raises(PenstockError) as failed:
        model.train(model="surprise", limit=100, activate=False, reason="")
    assert failed.value.code == code


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"identity": "me", "roles": [], "datasets": [], "types": []}'
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def https(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A server with a certificate of a local stack's authority: its URL, and the state folder of that stack."""
    place = Place(state=tmp_path_factory.mktemp("stack"))
    certificate.ensure(place.folder("tls"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place.state / "tls" / "edge.pem")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}", place.state
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_unknown_authority_is_named_and_pinning_it_helps(https: tuple[str, Path], tmp_path: Path) -> None:
    url, stack = https
    access = {"PENSTOCK_URL": url, "PENSTOCK_KEY": "pk_x"}
    status, err = penstock(tmp_path, "whoami", **access)
    assert (status, err.split()[0]) == (1, "CERTIFICATE_UNTRUSTED")
    assert "Set PENSTOCK_CA_FILE" in err
    assert not MACHINE.search(err)
    assert penstock(tmp_path, "whoami", **access, PENSTOCK_CA_FILE=str(stack / "tls" / "ca.pem")) == (0, "")


@pytest.mark.parametrize("command", [("send", "-"), ("tail",)])
def test_every_command_of_the_api_names_an_unknown_authority_at_once(
    https: tuple[str, Path], tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "line").write_text("one line\n")
    words = [str(tmp_path / "line") if word == "-" else word for word in command]
    status, err = penstock(tmp_path, *words, PENSTOCK_URL=https[0], PENSTOCK_KEY="pk_x")
    assert (status, "CERTIFICATE_UNTRUSTED" in err) == (1, True), err


def test_the_authority_of_the_local_stack_is_known_to_the_commands(https: tuple[str, Path]) -> None:
    url, stack = https
    assert penstock(stack, "whoami", PENSTOCK_URL=url, PENSTOCK_KEY="pk_x") == (0, "")


def test_http_to_an_https_port_says_so(https: tuple[str, Path], tmp_path: Path) -> None:
    url = https[0].replace("https:", "http:")
    status, err = penstock(tmp_path, "whoami", PENSTOCK_URL=url, PENSTOCK_KEY="pk_x")
    assert (status, "does it speak https?" in err) == (1, True), err


# Without those that would start servers or rewrite the checkout, and one that is tested above.
NOT_SWEPT = {("up",), ("demo",), ("fetch",), ("clean",), ("contracts", "render"), ("model", "train")}


def commands_below(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, found in getattr(command, "commands", {}).items():
        yield from commands_below(found, (*path, name))
    if not hasattr(command, "commands"):
        yield path, command


def words_for(command: Any) -> list[str]:
    """A value that cannot be right for everything that the command needs."""
    needed = [each for each in command.params if each.required]
    return [word for each in needed for word in ([each.opts[0]] if each.opts[0].startswith("-") else []) + ["no-such"]]


@pytest.fixture
def nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Settings of a stack that is not there: no servers, no credentials, no login."""
    for name in [name for name in os.environ if name.startswith("PENSTOCK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PENSTOCK_STATE", str(tmp_path))
    monkeypatch.setenv("PENSTOCK_PORT_BASE", "64000")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


def test_no_command_ends_in_a_traceback_where_nothing_runs(nothing_runs: None) -> None:
    main.load_groups()
    swept, defects = [], []
    for path, command in commands_below(typer.main.get_command(main.cli)):
        if path in NOT_SWEPT:
            continue
        result = CliRunner().invoke(main.cli, [*path, *words_for(command)])
        swept.append(path)
        error = result.exception
        if error is None or isinstance(error, SystemExit):
            continue
        failure = failure_of(error) if isinstance(error, Exception) else None
        if failure is None or MACHINE.search(failure.detail):
            defects.append((" ".join(path), repr(error)[:300]))
    assert len(swept) > 40
    assert defects == []
