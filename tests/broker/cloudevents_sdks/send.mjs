// {url, authorization, requests: [{mode, events: [{attributes, data}]}]} on standard input → for each request a line of
// JSON: the response's body, or {unsent: why the SDK could not send it}. Everything is built and sent by the SDK.
// `time` is RFC 3339 text, `data` one of {json}, {text}, {base64}, or null.
import { readFileSync } from "node:fs";
import { CloudEvent, HTTP, httpTransport } from "cloudevents";

const { url, authorization, requests } = JSON.parse(readFileSync(0, "utf8"));
const send = httpTransport(url);
const read = { json: (value) => value, text: (value) => value, base64: (value) => new Uint8Array(Buffer.from(value, "base64")) };

function build({ attributes, data }) {
  const [[kind, value]] = Object.entries(data ?? { json: undefined });
  return new CloudEvent({ ...attributes, data: read[kind](value) });
}

const batch = (events) => ({
  headers: { "content-type": "application/cloudevents-batch+json" },
  body: JSON.stringify(events),
});
const messageOf = { binary: ([event]) => HTTP.binary(event), structured: ([event]) => HTTP.structured(event), batch };

for (const { mode, events } of requests) {
  try {
    const response = await send(messageOf[mode](events.map(build)), { headers: { authorization } });
    console.log(JSON.stringify(JSON.parse(response.body)));
  } catch (error) {
    console.log(JSON.stringify({ unsent: error.code ?? error.message }));
  }
}
process.exit(); // a request that could not be written stays open
