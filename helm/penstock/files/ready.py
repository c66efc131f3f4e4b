"""Whether each URL answers 200 within two minutes: the edge has a ready ingress, and an ingress takes events."""

import ssl
import sys
import time
import urllib.error
import urllib.request

SECONDS = 120
# The certificate is for the name that clients use, which is not the one inside the cluster.
UNVERIFIED = ssl._create_unverified_context()  # noqa: S323 - nothing is sent that is not public


def answer(url: str) -> tuple[int, str]:
    """Status and body; status 0 without an answer."""
    try:
        context = UNVERIFIED if url.startswith("https:") else None
        with urllib.request.urlopen(url, timeout=5, context=context) as found:  # noqa: S310 - the chart's own URLs
            return found.status, found.read(4096).decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read(4096).decode()
    except OSError as error:
        return 0, str(error)


deadline = time.monotonic() + SECONDS
for url in sys.argv[1:]:
    while (found := answer(url))[0] != 200 and time.monotonic() < deadline:
        time.sleep(2)
    print(url, *found)
    if found[0] != 200:
        sys.exit(1)
