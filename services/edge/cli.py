"""penstock edge render, keys, reload: HAProxy in front of the ingress."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from penstock.elasticsearch_settings import ElasticsearchSettings
from penstock.errors import PenstockError, Unavailable
from penstock.services.edge import configuration, running
from penstock.services.edge.settings import EdgeSettings
from penstock.services.edge.update import update

app = typer.Typer(no_args_is_help=True, help="HAProxy in front of the ingress.")


@app.command()
def render() -> None:
    """Write haproxy.cfg from the settings, once HAProxy finds it valid; a running edge takes it with `reload`."""
    settings = ElasticsearchSettings()
    changed = configuration.write(settings, EdgeSettings())
    print(f"{configuration.folder(settings).configuration}: {'written' if changed else 'as it was'}")


@app.command("keys")
def fetch_keys(
    every: Annotated[float, typer.Option(help="seconds; fetch again and again, and reload when they changed")] = 0,
) -> None:
    """Fetch the issuers' public keys; with other keys than before, write haproxy.cfg anew and reload."""
    while every:
        try:
            _fetch()
        except PenstockError as error:
            print(f"{error.code} {error.detail}", file=sys.stderr, flush=True)
        time.sleep(every)
    if faults := _fetch():
        raise Unavailable("ISSUER_UNAVAILABLE", "; ".join(faults))


@app.command()
def reload() -> None:
    """Have the running edge take haproxy.cfg, certificate and keys anew; no request is dropped."""
    settings = ElasticsearchSettings()
    folder = configuration.folder(settings)
    configuration.check(folder.configuration)
    print(f"process {running.reload(settings, folder)} serves")


def _fetch() -> tuple[str, ...]:
    """One round; what could not be fetched."""
    done = update(ElasticsearchSettings(), EdgeSettings())
    for fault in done.faults:
        print(fault, file=sys.stderr, flush=True)
    print(done, flush=True)
    return done.faults
