"""identity + settings → its nkey or its tokens → a Broker, with the API prefix of its account."""

from __future__ import annotations

import ssl
from collections.abc import Callable

from penstock.auth.token_sources import source_for
from penstock.broker import Broker
from penstock.contracts import api_prefix, load
from penstock.contracts.nats_subjects import CORE_API
from penstock.errors import PenstockError, Refused
from penstock.settings import Settings


async def connect_as(
    identity: str,
    settings: Settings,
    *,
    on_error: Callable[[PenstockError], None] | None = None,
    patience: float = 30.0,
) -> Broker:
    """Connects an identity of the contracts as the settings say: with its nkey, or with tokens of its own.

    Raises as `Broker.connect` does, Refused CREDENTIALS_INVALID or ISSUERS_INVALID as `source_for` does, and Refused
    SETTING_INVALID when PENSTOCK_NATS_CA_FILE holds no certificate.
    """
    line = load(settings.contracts).identities.get(identity)
    return await Broker.connect(
        settings.nats,
        identity,
        settings.credentials_folder,
        prefix=api_prefix(line) if line is not None else CORE_API,
        on_error=on_error,
        patience=patience,
        tls=_tls(settings),
        token_source=source_for(identity, settings),
    )


def _tls(settings: Settings) -> ssl.SSLContext | None:
    """For the connection to NATS alone: what else this process reaches keeps the authorities of its own."""
    if (file := settings.nats_ca_file) is None:
        return None
    try:
        return ssl.create_default_context(cafile=str(file))
    except OSError as error:
        reason = "it holds no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise Refused("SETTING_INVALID", f"PENSTOCK_NATS_CA_FILE {file}: {reason}") from error
