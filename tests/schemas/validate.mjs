// Holds the schemas of schemas/ to their examples, and records to the schemas.
//
//   node validate.mjs                                    the tests of the schemas themselves
//   node validate.mjs [options] SCHEMA FILE|-            every line of an NDJSON file
//   node validate.mjs --yaml [SCHEMA] FILE|-             a YAML file (SCHEMA: rules)
//
// Statuses: 0 all valid, 1 something refused, 64 wrong arguments, 66 a file cannot be read.

import { createHash } from "node:crypto";
import { createReadStream, existsSync, readFileSync, readdirSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import addFormats from "ajv-formats";
import Ajv2020 from "ajv/dist/2020.js";
import { LineCounter, isNode, parseDocument } from "yaml";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, "..", "..");
const SCHEMAS = join(ROOT, "schemas");
const SUFFIX = ".schema.json";
const SHOWN_LINES = 10;
const SHOWN_ERRORS = 5;
const DIALECT = "https://json-schema.org/draft/2020-12/schema";

const HELP = `usage: validate.mjs                              test the schemas and their examples
       validate.mjs [options] SCHEMA FILE.ndjson|-  validate every line
       validate.mjs --yaml [SCHEMA] FILE.yaml|-     validate a YAML file (default schema: rules)
options:
  --closed   refuse fields the schema does not name (for what tidemark itself writes)
  --min N    refuse input of fewer than N records
  --help     this text
SCHEMA is one of: ${schemaNames().join(", ")}
`;

function schemaNames() {
  return readdirSync(SCHEMAS).filter((f) => f.endsWith(SUFFIX)).map((f) => f.slice(0, -SUFFIX.length)).sort();
}

const readJson = (path) => JSON.parse(readFileSync(path, "utf8"));
const loadSchema = (name) => readJson(join(SCHEMAS, name + SUFFIX));
const idOf = (name) => `urn:tidemark:schema:${name}:v1`;

// Union types are how JSON Schema says "nullable scalar"; everything else of ajv's strict mode is on, so that a
// misspelt keyword, an unknown format or a `required` without its property stops the test.
function newAjv() {
  const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, allErrors: true, validateFormats: true });
  addFormats(ajv);
  return ajv;
}

// The schemas leave records open, since consumers must ignore what they do not know. A closed copy finds fields
// that tidemark writes and the contract does not mention. Conditions are left alone: they repeat fields only to test them.
function closed(schema) {
  if (Array.isArray(schema)) return schema.map(closed);
  if (schema === null || typeof schema !== "object") return schema;
  const copy = { ...schema };
  for (const key of ["properties", "$defs"])
    if (copy[key]) copy[key] = Object.fromEntries(Object.entries(copy[key]).map(([k, v]) => [k, closed(v)]));
  for (const key of ["items", "additionalProperties", "anyOf", "prefixItems"]) if (copy[key]) copy[key] = closed(copy[key]);
  if (copy.properties && copy.additionalProperties === undefined) copy.unevaluatedProperties = false;
  return copy;
}

// RFC 9562, section 5.5, in the namespace for URLs.
function uuid5Url(name) {
  const namespace = Buffer.from("6ba7b8119dad11d180b400c04fd430c8", "hex");
  const hash = createHash("sha1").update(namespace).update(name, "utf8").digest().subarray(0, 16);
  hash[6] = (hash[6] & 0x0f) | 0x50;
  hash[8] = (hash[8] & 0x3f) | 0x80;
  return hash.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

const bytes = (text) => Buffer.byteLength(text, "utf8");

// What the contract promises beyond what JSON Schema can say; looked at only in records the schema accepts.
const LAWS = {
  event(e) {
    const limits = { id: 128, account: 128, event: 64, user: 256, source: 256 };
    return Object.entries(limits).filter(([k, n]) => bytes(e[k] ?? "") > n).map(([k, n]) => `/${k} is longer than ${n} bytes`);
  },
  "account-record"(a) {
    return bytes(a.account) > 128 ? ["/account is longer than 128 bytes"] : [];
  },
  "dead-letter"(d) {
    const encoded = (k) => typeof d[k] === "string" && Buffer.from(d[k], "base64").toString("base64") !== d[k];
    return ["value_base64", "key_base64"].filter(encoded).map((k) => `/${k} is not base64`);
  },
  signal(s) {
    const { account, rule, raised_at, episode, state, sequence } = s.data;
    const key = `${account}/${rule}/${Date.parse(raised_at)}`;
    const id = uuid5Url(`tidemark:${episode}/${state}/${sequence}`);
    const errors = [];
    if (s.subject !== account) errors.push(`/subject is not data.account (${account})`);
    if (episode !== key) errors.push(`/data/episode is not account/rule/raised_at in ms (${key})`);
    if (bytes(episode) > 255) errors.push("/data/episode is longer than 255 bytes");
    if (s.id !== id) errors.push(`/id is not the UUIDv5 of episode, state and sequence (${id})`);
    if (Date.parse(s.time) < Date.parse(raised_at)) errors.push("/time lies before data.raised_at");
    if (state === "raised" && s.time !== raised_at) errors.push("/time of a raised signal is not data.raised_at");
    return errors;
  },
  journal(j) {
    if (j.kind !== "commit") return [];
    const errors = [];
    for (const input of ["usage", "accounts"]) if (j[input][1] < j[input][0]) errors.push(`/${input} runs backwards`);
    for (const { account, rule, episode, time } of j.signals) {
      const raised = episode.startsWith(`${account}/${rule}/`) ? Number(episode.slice(account.length + rule.length + 2)) : NaN;
      if (!Number.isSafeInteger(raised)) errors.push(`/signals: ${episode} is no episode of ${account} and ${rule}`);
      else if (time < raised) errors.push(`/signals: ${episode} has a signal before it was raised`);
    }
    if (j.t_before !== null && (j.t_after === null || j.t_after < j.t_before)) errors.push("/t_after lies before t_before");
    return errors;
  },
};

// Where a schema states a bound that the program has as a constant: constant, schema, path, keyword.
const property = (...names) => names.flatMap((n) => ["properties", n]);
const BOUNDS = [
  ["TM_EVENT_ID_MAX", "event", property("id"), "maxLength"],
  ["TM_ACCOUNT_ID_MAX", "event", property("account"), "maxLength"],
  ["TM_EVENT_NAME_MAX", "event", property("event"), "maxLength"],
  ["TM_USER_ID_MAX", "event", property("user"), "maxLength"],
  ["TM_SOURCE_MAX", "event", property("source"), "maxLength"],
  ["TM_PROPERTIES_MAX", "event", property("properties"), "maxProperties"],
  ["TM_PROPERTY_NAME_MAX", "event", [...property("properties"), "propertyNames"], "maxLength"],
  ["TM_PROPERTY_TEXT_MAX", "event", [...property("properties"), "additionalProperties", "anyOf", 0], "maxLength"],
  ["TM_NUMBER_MAX", "event", ["$defs", "number"], "maximum"],
  ["TM_ACCOUNT_ID_MAX", "account-record", property("account"), "maxLength"],
  ["TM_FACT_TEXT_MAX", "account-record", property("plan"), "maxLength"],
  ["TM_FACT_LIST_MAX", "account-record", property("owners"), "maxProperties"],
  ["TM_FACT_LIST_MAX", "account-record", property("goals"), "maxProperties"],
  ["TM_FACT_LIST_MAX", "account-record", property("attributes"), "maxProperties"],
  ["TM_FACT_LIST_MAX", "account-record", property("products"), "maxItems"],
  ["TM_CHAMPIONS_MAX", "account-record", property("champions"), "maxItems"],
  ["TM_NUMBER_MAX", "account-record", ["$defs", "number"], "maximum"],
  ["TM_METRICS_MAX", "journal", ["$defs", "configuration", ...property("counting_starts")], "maxProperties"],
  ["TM_EPISODE_KEY_MAX", "signal", property("data", "episode"), "maxLength"],
  ["TM_SUMMARY_MAX", "signal", property("data", "summary"), "maxLength"],
  ["TM_EVIDENCE_MAX", "signal", property("data", "evidence"), "maxItems"],
  ["TM_METRICS_MAX", "rules", property("metrics"), "maxProperties"],
  ["TM_RULES_MAX", "rules", property("rules"), "maxItems"],
  ["TM_EXPRESSION_MAX", "rules", ["$defs", "expression", "anyOf", 0], "maxLength"],
  ["TM_PATTERNS_MAX", "rules", ["$defs", "events", "anyOf", 1], "maxItems"],
  ["TM_INHIBITORS_MAX", "rules", ["$defs", "rule", ...property("inhibited_by")], "maxItems"],
];

// Where a schema closes a list of words that the program has as a table of names: source, its array, schema, path, and
// words of the array that never reach a record.
const WORDS = [
  ["processor/codec/deadreason.c", "names", "dead-letter", property("reason"), ["none"]],
  ["processor/core/pack.c", "kind_names", "signal", property("data", "kind"), []],
  ["processor/core/pack.c", "severity_names", "signal", property("data", "severity"), []],
  ["processor/core/episode.c", "signal_states", "signal", property("data", "state"), ["none"]],
  ["processor/core/episode.c", "reasons", "signal", property("data", "reason"), []],
  ...["kind", "state", "severity"].map((word) => {
    const [file, array] = { kind: ["pack.c", "kind_names"], state: ["episode.c", "signal_states"], severity: ["pack.c", "severity_names"] }[word];
    return [`processor/core/${file}`, array, "journal", ["$defs", "commit", ...property("signals"), "items", ...property(word)], ["none"]];
  }),
];

const describe = (e) => `${e.instancePath || "/"} ${e.message}${detail(e.params)}`;
function detail(params) {
  const name = params.additionalProperty ?? params.unevaluatedProperty ?? params.propertyName;
  if (name !== undefined) return `: ${name}`;
  if (params.allowedValues) return `: ${params.allowedValues.join(", ")}`;
  return params.allowedValue !== undefined ? `: ${JSON.stringify(params.allowedValue)}` : "";
}

// Returns a function: record → list of errors as text, empty when the record is valid.
function checker(name, { close = false } = {}) {
  const schema = loadSchema(name);
  const validate = newAjv().compile(close ? closed(schema) : schema);
  const law = LAWS[name] ?? (() => []);
  return (record) => (validate(record) ? law(record) : validate.errors.map(describe));
}

// ------------------------------------------------------------------------------------------------ records

function report(where, errors, text) {
  process.stderr.write(`${where}: refused\n`);
  for (const e of errors.slice(0, SHOWN_ERRORS)) process.stderr.write(`    ${e}\n`);
  if (errors.length > SHOWN_ERRORS) process.stderr.write(`    and ${errors.length - SHOWN_ERRORS} more\n`);
  if (text !== undefined) process.stderr.write(`    ${text.length > 400 ? text.slice(0, 400) + " …" : text}\n`);
}

async function validateLines(name, file, { close, min }) {
  const check = checker(name, { close });
  const input = file === "-" ? process.stdin : createReadStream(file);
  const failed = new Promise((_, reject) => input.once("error", reject));
  let line = 0, valid = 0, refused = 0;
  const read = async () => {
    for await (const text of createInterface({ input, crlfDelay: Infinity })) {
      line++;
      if (text.trim() === "") continue;
      let errors;
      try {
        errors = check(JSON.parse(text));
      } catch (e) {
        if (!(e instanceof SyntaxError)) throw e;
        errors = [`not JSON: ${e.message}`];
      }
      if (errors.length === 0) valid++;
      else if (++refused <= SHOWN_LINES) report(`${file}:${line}`, errors, text);
    }
  };
  await Promise.race([read(), failed]);
  if (refused > SHOWN_LINES) process.stderr.write(`${refused - SHOWN_LINES} more lines refused, not shown\n`);
  if (valid + refused < min) process.stderr.write(`${file}: ${valid + refused} records, at least ${min} expected\n`);
  process.stdout.write(`${name}: ${valid} valid, ${refused} refused\n`);
  return refused > 0 || valid + refused < min ? 1 : 0;
}

// Errors of a YAML file: [] when it conforms, else lines of text with line and column.
function yamlErrors(name, text, options) {
  const counter = new LineCounter();
  const doc = parseDocument(text, { lineCounter: counter, prettyErrors: false, version: "1.2", merge: true });
  const place = (offset) => { const { line, col } = counter.linePos(offset); return `${line}:${col}`; };
  if (doc.errors.length) return doc.errors.map((e) => `${place(e.pos[0])} ${e.message}`);
  const check = checker(name, options);
  return check(doc.toJS()).map((text) => {
    const path = text.split(" ", 1)[0].split("/").slice(1).filter((p) => p !== "").map((p) => p.replaceAll("~1", "/").replaceAll("~0", "~"));
    const node = doc.getIn(path.map((p) => (/^[0-9]+$/.test(p) ? Number(p) : p)), true);
    return isNode(node) && node.range ? `${place(node.range[0])} ${text}` : text;
  });
}

function validateYaml(name, file, options) {
  const errors = yamlErrors(name, readFileSync(file === "-" ? 0 : file, "utf8"), options);
  if (errors.length) report(file, errors);
  else process.stdout.write(`${name}: ${file} is valid\n`);
  return errors.length ? 1 : 0;
}

// ------------------------------------------------------------------------------------------------ the tests

// Calls visit(subschema, JSON pointer, name of the field or null) for the schema and every subschema that documents data.
function walk(schema, visit, pointer = "", field = null) {
  if (schema === null || typeof schema !== "object") return;
  visit(schema, pointer, field);
  const escape = (k) => encodeURIComponent(k.replaceAll("~", "~0").replaceAll("/", "~1"));
  for (const [key, isField] of [["properties", true], ["$defs", false]])
    for (const [k, v] of Object.entries(schema[key] ?? {})) walk(v, visit, `${pointer}/${key}/${escape(k)}`, isField ? k : null);
  for (const key of ["anyOf", "prefixItems"]) (schema[key] ?? []).forEach((v, i) => walk(v, visit, `${pointer}/${key}/${i}`, `${key} ${i}`));
  for (const key of ["items", "additionalProperties"]) walk(schema[key], visit, `${pointer}/${key}`, key);
}

const jsonFiles = (dir) => (existsSync(dir) ? readdirSync(dir).filter((f) => f.endsWith(".json")).sort().map((f) => join(dir, f)) : []);

function testSchemas() {
  let passed = 0, failed = 0;
  const test = (what, errors) => {
    if (errors.length === 0) passed++;
    else {
      failed++;
      process.stdout.write(`FAIL ${what}\n${errors.map((e) => `     ${e}\n`).join("")}`);
    }
  };
  const attempt = (what, body) => {
    let errors;
    try { errors = body(); } catch (e) { errors = [e.message]; }
    test(what, errors);
  };
  const refusals = readJson(join(HERE, "refusals.json"));
  const unmet = new Set(Object.keys(refusals));

  for (const name of schemaNames()) {
    const examples = join(SCHEMAS, "examples", name);
    let schema, ajv, validate;
    attempt(`${name}: compiles in strict mode`, () => {
      schema = loadSchema(name);
      ajv = newAjv();
      validate = ajv.compile(schema);
      const errors = [];
      if (schema.$schema !== DIALECT) errors.push(`$schema is not ${DIALECT}`);
      if (schema.$id !== idOf(name)) errors.push(`$id is not ${idOf(name)}`);
      if (!schema.examples?.length) errors.push("no examples inside");
      newAjv().compile(closed(schema));
      return errors;
    });
    if (!validate) continue;

    // The description is the documentation of the contract, so a field without one is a defect.
    const bare = [];
    walk(schema, (s, pointer, field) => { if ((field !== null || pointer === "") && !s.description && !s.$ref) bare.push(`${pointer} has no description`); });
    test(`${name}: every field is described`, bare);

    attempt(`${name}: examples inside are valid`, () => {
      const errors = [];
      walk(schema, (s, pointer) => (s.examples ?? []).forEach((example, i) => {
        const sub = ajv.getSchema(`${schema.$id}#${pointer}`);
        if (!sub) errors.push(`${pointer} cannot be resolved`);
        else if (!sub(example)) errors.push(...sub.errors.map((e) => `#${pointer}/examples/${i} ${describe(e)}`));
      }));
      return errors;
    });

    const check = checker(name);
    const valid = jsonFiles(examples), invalid = jsonFiles(join(examples, "invalid"));
    test(`${name}: has examples of both sorts`, valid.length && invalid.length ? [] : [`none in ${relative(ROOT, examples)}`]);
    for (const file of valid) attempt(`${relative(ROOT, file)} is valid`, () => check(readJson(file)));
    for (const file of invalid) attempt(`${relative(ROOT, file)} is refused`, () => {
      const key = `${name}/${basename(file, ".json")}`, expected = refusals[key];
      unmet.delete(key);
      if (validate(readJson(file))) return ["the schema accepts it"];
      if (!expected) return [`refusals.json does not say where: "${key}"`];
      // Refused at another place would mean that the example no longer shows what its name says.
      const met = validate.errors.some((e) => e.instancePath === expected.at && e.keyword === expected.keyword);
      return met ? [] : [`not for ${expected.keyword} at "${expected.at}" but:`, ...validate.errors.map((e) => `${e.keyword} at "${e.instancePath}"`)];
    });
  }
  test("refusals.json names only examples there are", [...unmet]);

  attempt("bounds are those of include/tidemark/base/limits.h", () => {
    const text = readFileSync(join(ROOT, "include", "tidemark", "base", "limits.h"), "utf8");
    return BOUNDS.flatMap(([constant, name, path, keyword]) => {
      const value = text.match(new RegExp(`\\b${constant}(?: =)? ([0-9.e]+)`))?.[1];
      const found = path.reduce((s, key) => s?.[key], loadSchema(name))?.[keyword];
      return Number(value) === found ? [] : [`${name} ${path.join("/")}: ${keyword} is ${found}, ${constant} is ${value}`];
    });
  });
  for (const [file, array, name, path, internal] of WORDS) attempt(`${name} ${path.filter((p) => p !== "properties").join("/")}: the words of ${file}`, () => {
    const body = readFileSync(join(ROOT, file), "utf8").match(new RegExp(`\\b${array}\\[[^\\]]*\\]\\s*=\\s*\\{([^}]*)\\}`))?.[1];
    if (body === undefined) return [`no array ${array}`];
    const words = [...body.matchAll(/"([^"]*)"/g)].map((m) => m[1]).filter((w) => !internal.includes(w)).sort();
    const listed = (path.reduce((s, key) => s?.[key], loadSchema(name))?.enum ?? []).filter((w) => w !== null).sort();
    return words.length && words.join() === listed.join() ? [] : [`the program has ${words.join(", ")}`, `the schema has ${listed.join(", ")}`];
  });
  for (const { schema, breaks, record } of readJson(join(HERE, "lawless.json"))) attempt(`${schema}: refuses a record that ${breaks}`, () => {
    const valid = newAjv().compile(loadSchema(schema))(record);
    if (!valid) return ["the schema alone refuses it, so it shows nothing"];
    return checker(schema)(record).length === 1 ? [] : ["not exactly one error"];
  });
  attempt("signal: a field without a place in the contract is found by --closed", () => {
    const file = readJson(join(SCHEMAS, "examples", "signal", "unknown-fields.json"));
    return checker("signal", { close: true })(file).length === 2 ? [] : ["not found"];
  });
  attempt("rules: YAML errors carry line and column", () => {
    const errors = yamlErrors("rules", "version: 1\nrules:\n  - name: a\n    kind: churn\n    when: x > 1\n", {});
    return errors.length === 1 && errors[0].startsWith("4:11 ") ? [] : errors;
  });

  const pack = join(ROOT, "deploy", "rules.yaml");
  if (existsSync(pack)) attempt("deploy/rules.yaml is valid", () => yamlErrors("rules", readFileSync(pack, "utf8"), {}));

  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  return failed || !passed ? 1 : 0;
}

// ------------------------------------------------------------------------------------------------ arguments

async function main(args) {
  const options = { close: false, min: 0 };
  const names = [];
  let yaml = false;
  const wrong = (why) => { process.stderr.write(`validate.mjs: ${why}\n${HELP}`); return 64; };
  for (let i = 0; i < args.length; i++) {
    if (args[i] === "--help") { process.stdout.write(HELP); return 0; }
    else if (args[i] === "--yaml") yaml = true;
    else if (args[i] === "--closed") options.close = true;
    else if (args[i] === "--min") {
      options.min = Number(args[++i]);
      if (!Number.isSafeInteger(options.min) || options.min < 0) return wrong("--min needs a whole number");
    } else if (args[i].startsWith("--")) return wrong(`unknown option ${args[i]}`);
    else names.push(args[i]);
  }
  if (names.length === 0 && args.length === 0) return testSchemas();
  if (yaml && names.length === 1) names.unshift("rules");
  if (names.length !== 2) return wrong("a schema and a file are needed");
  const [name, file] = names;
  if (!schemaNames().includes(name)) return wrong(`no schema named ${name}`);
  return yaml ? validateYaml(name, file, options) : validateLines(name, file, options);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (e) {
  if (!e.syscall) throw e;
  process.stderr.write(`validate.mjs: ${e.message}\n`);
  process.exitCode = 66;
}
