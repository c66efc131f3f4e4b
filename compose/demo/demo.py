"""Makes an API key, sends events.log, waits until its lines are found, and shows them.

Nothing but the commands that anybody would use. Again and again is safe: the same lines are the same events.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

LINES = Path(__file__).with_name("events.log")
PATIENCE = 120.0  # seconds for the lines to be indexed


def main() -> int:
    """The exit status: 0 once as many lines are found as were sent."""
    if not Path(os.environ["PENSTOCK_KEY_FILE"]).exists():
        penstock("key", "create", "--identity", "demo", "--types", "*", "--datasets", "*", "--save")
    sent = json.loads(penstock("send", "--json", "--zone", "UTC", str(LINES)))
    print(f"sent {sent['accepted']} new lines, {sent['duplicate']} were there already", flush=True)
    wanted = sent["accepted"] + sent["duplicate"]
    deadline = time.monotonic() + PATIENCE
    while (found := hits("checkout")) < wanted:
        if time.monotonic() > deadline:
            print(f"only {found} of {wanted} lines are found after {PATIENCE:.0f} s", file=sys.stderr)
            return 1
        time.sleep(1.0)
    print(f"found {found} of {wanted} lines; the first of 'card expired':", flush=True)
    subprocess.run(["penstock", "search", "card expired", "--size", "5"], check=True)  # noqa: S607
    return 0


def hits(text: str) -> int:
    """How many events the text is found in; none as long as the search is not answered."""
    try:
        return int(json.loads(penstock("search", text, "--json"))["total"]["value"])
    except subprocess.CalledProcessError:  # it has said why
        return 0


def penstock(*arguments: str) -> str:
    """Standard output of a command. Raises CalledProcessError."""
    return subprocess.run(["penstock", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603, S607


if __name__ == "__main__":
    sys.exit(main())
