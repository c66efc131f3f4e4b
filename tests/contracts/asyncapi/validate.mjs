// asyncapi.yaml on standard input → its diagnostics as JSON lines; exit 1 if the parser refuses the document.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(readFileSync(0, "utf8"));
for (const { severity, code, path, message } of diagnostics) {
  console.log(JSON.stringify({ severity, code, path: path.join("/"), message }));
}
process.exitCode = document ? 0 : 1;
