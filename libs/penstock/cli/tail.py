"""penstock tail: follows events as they are stored, and comes back where the connection was lost."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import httpx
import orjson
import typer

from penstock.cli.client import api_url, client, raise_for, unreachable
from penstock.cli.console import console, print_json, print_line
from penstock.cli.search import AsJson, Datasets, Entity, Types
from penstock.cli.show import record_line
from penstock.errors import PenstockError, Refused, Unavailable

app = typer.Typer()

SILENCE = 45.0  # seconds; the API sends a heartbeat every 15
PATIENCE = 30.0  # seconds for which a lost connection is tried again, unless --patience says otherwise
FIRST_WAIT, LONGEST_WAIT = 0.25, 5.0  # seconds between two tries
RETRIED = ("INGRESS_UNAVAILABLE",)  # reasons for which the API ends a tail that may be followed again


@app.command()
def tail(
    datasets: Datasets = None,
    types: Types = None,
    entity: Entity = None,
    most: Annotated[int | None, typer.Option("--most", "-n", min=1, help="Stop after this many events.")] = None,
    patience: Annotated[
        float, typer.Option(min=0, help="Give up after a lost connection was tried again for so many seconds.")
    ] = PATIENCE,
    as_json: AsJson = False,
) -> None:
    """Follow events as they are stored, until Ctrl-C."""
    params = {"dataset": datasets, "type": types, "entity": entity}
    out = console()
    seen = 0
    try:
        for kind, body in follow({name: value for name, value in params.items() if value}, patience):
            if kind == "gap":
                missed = "some" if body["dropped"] is None else f"{body['dropped']:,}"
                print_line(f"{missed} events were skipped here", style="yellow", stderr=True)
            elif kind == "lost":
                print_line(f"{body['reason']}; trying again for {patience:g} s", style="yellow", stderr=True)
            elif kind == "event":
                if as_json:
                    print_json(body)
                else:
                    out.print(record_line(body))
                    out.file.flush()
                seen += 1
                if seen == most:
                    return
    except KeyboardInterrupt:
        return


def follow(params: dict[str, Any], patience: float = PATIENCE) -> Iterator[tuple[str, dict[str, Any]]]:
    """The server-sent events as (kind, data), and `lost` when the connection is.

    It is opened again where it was lost. Raises PenstockError if the API refuses, ends the tail for good, or cannot be
    reached: at once the first time, later after `patience` seconds.
    """
    opened, position, deadline, wait = False, "", 0.0, FIRST_WAIT
    while True:
        try:
            for kind, body, id in _frames(params, position):
                opened, position, deadline, wait = True, id or position, 0.0, FIRST_WAIT
                if kind == "end":
                    raise _ended(body)
                yield kind, body
            failure = Unavailable("INGRESS_UNAVAILABLE", f"{api_url()} has closed the connection")
        except httpx.TransportError as error:
            failure = unreachable(error)
        except Unavailable as error:
            failure = error
        if deadline == 0.0:
            if not opened and failure.code != "INGRESS_UNAVAILABLE":
                raise failure
            yield "lost", {"reason": failure.detail}
            deadline = time.monotonic() + patience
        if time.monotonic() + wait > deadline:
            raise failure
        time.sleep(wait)
        wait = min(wait * 2, LONGEST_WAIT)


def _ended(body: dict[str, Any]) -> PenstockError:
    code = str(body.get("code", "INTERNAL"))
    if code in RETRIED:
        return Unavailable(code, f"{api_url()} is stopping")
    return Refused(code, f"{api_url()} has ended the tail: the credentials are no longer good for it")


def _frames(params: dict[str, Any], position: str) -> Iterator[tuple[str, dict[str, Any], str]]:
    timeout = httpx.Timeout(10.0, read=SILENCE)
    sent = {"last-event-id": position} if position else {}
    with client(timeout) as http, http.stream("GET", "/v1/tail", params=params, headers=sent) as response:
        if not response.is_success:
            response.read()
        raise_for(response)
        yield from parse(lines(response.iter_bytes()))


def lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of an event stream: they end with a line feed, and with nothing else that an event may hold."""
    begun = b""
    for chunk in chunks:
        *whole, begun = (begun + chunk).split(b"\n")
        yield from (line.removesuffix(b"\r") for line in whole)


def parse(lines: Iterable[bytes]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Server-sent events as (kind, data, id) from their lines."""
    kind, data, id = "message", b"", ""
    for line in lines:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"event":
            kind = value.decode()
        elif name == b"data":
            data += value
        elif name == b"id":
            id = value.decode()
        elif not line and data:
            yield kind, orjson.loads(data), id
            kind, data, id = "message", b"", ""
