"""penstock edge render, keys, reload: HAProxy, the edge proxy."""

from __future__ import annotations

import sys

import typer

from penstock.elasticsearch.settings import ElasticsearchSettings
from penstock.errors import Unavailable
from penstock.services.edge import configuration, running
from penstock.services.edge.settings import EdgeSettings
from penstock.services.edge.update import update

app = typer.Typer(no_args_is_help=True, help="Configure and reload HAProxy, the edge proxy.")


@app.command()
def render() -> None:
    """Write haproxy.cfg from the settings, if HAProxy accepts it. `reload` then applies it."""
    settings = ElasticsearchSettings()
    changed = configuration.write(settings, EdgeSettings())
    print(f"{configuration.folder(settings).configuration}: {'written' if changed else 'unchanged'}")


@app.command("keys")
def fetch_keys() -> None:
    """Fetch the issuers' public keys; if they changed, rewrite haproxy.cfg and reload HAProxy."""
    if faults := _fetch():
        raise Unavailable("ISSUER_UNAVAILABLE", "; ".join(faults))


@app.command()
def reload() -> None:
    """Reload haproxy.cfg, certificate and keys in the running HAProxy; no request is dropped."""
    settings = ElasticsearchSettings()
    folder = configuration.folder(settings)
    configuration.check(folder.configuration)
    print(f"reloaded; process {running.reload(settings, folder)} now serves")


def _fetch() -> tuple[str, ...]:
    """Fetches once; returns what could not be fetched."""
    done = update(ElasticsearchSettings(), EdgeSettings())
    for fault in done.faults:
        print(fault, file=sys.stderr, flush=True)
    print(done, flush=True)
    return done.faults
