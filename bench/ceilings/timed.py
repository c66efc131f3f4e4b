"""What a ceiling prints: events, seconds, CPU-seconds of its own process and of the server it talks to."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.watch import cpu_seconds


@dataclass
class Count:
    """How many events were done within the measured block."""

    events: int = 0


@contextmanager
def timed(server: int = 0) -> Iterator[Count]:
    """Measures its block, which sets the count, and prints one line of JSON. `server` is a pid, 0 for none."""
    count = Count()
    far = cpu_seconds(server) if server else 0.0
    own, began = time.process_time(), time.perf_counter()
    yield count
    seconds, own = time.perf_counter() - began, time.process_time() - own
    far = cpu_seconds(server) - far if server else 0.0
    print(json.dumps({"events": count.events, "seconds": seconds, "own_cpu": own, "server_cpu": far}))
