"""settings → keys and clients → HTTP server until SIGTERM.

`python -m penstock.services.issuer rotate` makes a new key, `… add <client> <group> …` one more client, and says in
which file its secret is. A server that runs takes both.
"""

from __future__ import annotations

import sys
from functools import partial

import uvicorn

from penstock.contracts import load
from penstock.services.issuer import clients, signing_keys
from penstock.services.issuer.app import Issuing, application
from penstock.services.issuer.settings import IssuerSettings
from penstock.telemetry import configure_logging

CLIENTS = "clients.yaml"


def main() -> None:
    """Serves, or rotates."""
    settings = IssuerSettings()
    folder = settings.state / "issuer"
    if sys.argv[1:] == ["rotate"]:
        print(signing_keys.rotate(folder))
        return
    if sys.argv[1:2] == ["add"] and len(sys.argv) > 2:
        print(clients.add(folder / CLIENTS, settings.secrets / "oidc", sys.argv[2], tuple(sys.argv[3:])))
        return
    configure_logging(settings.log_level, "issuer")
    signing_keys.ensure(folder)
    issuing = Issuing(
        issuer=settings.local_issuer,
        audience=settings.token_audience,
        life=settings.issuer_token_seconds,
        keys=partial(signing_keys.ensure, folder),
        ahead=settings.issuer_key_ahead,
        clients=clients.Clients(load(), folder / CLIENTS, settings.secrets / "oidc"),
    )
    port = settings.port or settings.local_port("issuer")
    uvicorn.run(application(issuing), host=settings.host, port=port, log_config=None, access_log=False)


main()
