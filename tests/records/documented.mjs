// Every example in docs/records.md is, field by field, a record that the encoders write: documented.mjs RECORD_SAMPLES
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";

const page = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "docs", "records.md");
const written = ["signal", "health-record", "dead-letter", "journal"].flatMap((schema) =>
  execFileSync(process.argv[2], [schema], { encoding: "utf8" }).trim().split("\n").map((line) => JSON.parse(line)));
const examples = [...readFileSync(page, "utf8").matchAll(/^```json\n([\s\S]*?)^```$/gm)].map((m) => JSON.parse(m[1]));
const strange = examples.filter((example) => !written.some((record) => isDeepStrictEqual(record, example)));
for (const example of strange) console.log(`docs/records.md: no encoder writes ${JSON.stringify(example)}`);
console.log(`${examples.length} examples, ${strange.length} that are not written`);
process.exitCode = strange.length || examples.length < 7 ? 1 : 0;
