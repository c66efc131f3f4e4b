"""Where the real data for tests and benchmarks is: PENSTOCK_DATA, else shared/data beside the checkout."""

from __future__ import annotations

import os
from pathlib import Path

from penstock.settings import ROOT


def data_folder() -> Path:
    """The folder; it may not exist."""
    return Path(os.environ.get("PENSTOCK_DATA") or ROOT.parent / "shared" / "data")
