"""What `penstock reconcile` prints for people."""

from __future__ import annotations

import pytest

from penstock.cli.reconcile import show
from penstock.rpc.messages import Reconciled, Reconciliation, StoreDifference

WHOLE = StoreDifference(held=1200)


def row(dataset: str, indexed: StoreDifference, *steps: str) -> Reconciled:
    return Reconciled(
        dataset=dataset, period="2026-11-29", accepted=1200, repeated=0, indexed=indexed, stored=WHOLE, next=list(steps)
    )


def test_differences_and_their_commands_are_shown_and_what_is_on_its_way_is_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [
        row("logs", WHOLE),
        row("metrics", StoreDifference(held=1197, missing=3), "penstock replay plan indexer …"),
        row("cloud", StoreDifference(held=1000, missing=200, in_flight=True)),
    ]
    show(Reconciliation(since="2026-11-22T00:00:00Z", until="2026-11-29T12:00:00Z", unreadable=2, rows=rows))
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[1].split()[-3:] == ["1,200", "1,200", "none"]
    assert lines[2].endswith("index: 3 missing")
    assert lines[3].endswith("index: in flight")
    assert "since 2026-11-22T00:00:00Z" in out
    assert "2 messages of the streams are no events" in out
    assert out.index("metrics 2026-11-29:\n  penstock replay plan indexer …") < out.index(
        "Apply each plan before the next"
    )
