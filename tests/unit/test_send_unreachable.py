"""`penstock send` to an address where nothing listens: says so at once, and gives up soon."""

from __future__ import annotations

import asyncio
import socket

import pytest

from penstock.cli.shipping.batches import Shipper
from penstock.errors import PenstockError, Unavailable


def test_an_api_that_never_answers_is_named_once_and_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, and not listening
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        monkeypatch.setenv("PENSTOCK_URL", url)
        monkeypatch.setenv("PENSTOCK_KEY", "pk_00000000_" + "A" * 43)
        monkeypatch.setattr("penstock.cli.shipping.batches.REACH", 1.5)
        said: list[tuple[PenstockError, float]] = []
        shipper = Shipper(patience=300.0, waits=lambda reason, seconds: said.append((reason, seconds)))
        with pytest.raises(ExceptionGroup) as failed:
            asyncio.run(shipper.run([b'{"id":"1"}']))
    [failure] = failed.value.exceptions
    assert isinstance(failure, Unavailable)
    assert failure.detail.startswith(f"{url} cannot be reached")
    assert [(reason.code, seconds) for reason, seconds in said] == [("SERVICE_UNAVAILABLE", 1.5)]
    assert shipper.shipped.accepted == 0
