// A JSON list of documents on standard input → for each a line of JSON: {accepted, diagnostics}.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

for (const text of JSON.parse(readFileSync(0, "utf8"))) {
  const { document, diagnostics } = await new Parser().parse(text);
  const found = diagnostics.map(({ severity, code, path, message }) => ({ severity, code, path: path.join("/"), message }));
  console.log(JSON.stringify({ accepted: Boolean(document), diagnostics: found }));
}
