// SPDX-License-Identifier: Apache-2.0
// Tells the story of examples.json through the generated client: call.js EXAMPLES <SETTING, where SETTING is JSON (see below)
// on standard input. What went wrong goes out as JSON, a sentence each; so does how much was called, and how.
import { subscribe } from "node:diagnostics_channel";
import { readFileSync } from "node:fs";
import { Agent, type ClientRequest } from "node:http";
import { create, fromJson, isMessage, toJson, type JsonObject, type Message } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type CallOptions, type Client, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { CommandOutcomeSchema, type CommandOutcome } from "./generated/ameide_core_proto/sre/core/v1/commands_pb.js";
import { broken, readContract, type Method, type RoleName } from "./contract.js";
import { absent, fill, missing, pick, readStory, type Step, type Words } from "./story.js";
import { typedTour } from "./typed.js";

interface Setting {
  url: string;
  codec: "json" | "binary";
  tokens: Record<RoleName, string>;
  paths: string[]; // of the server's methods, from its /openapi.json
  words: Words;
}

const setting = JSON.parse(readFileSync(0, "utf8")) as Setting;
const story = readStory(process.argv[2] ?? "examples.json");
const contract = await readContract();
const failures: string[] = [];
const calls = { POST: 0, GET: 0 };
const kept = new Set<string>();
const words: Words = { ...setting.words, now: String(Math.floor(Date.now() / 1000)) };
const versions = new Map<string, bigint>(); // by aggregate id, as this caller saw it last

// ---- calls

const agent = new Agent({ keepAlive: true });

// What truly goes out, as node's HTTP client sees it; on a connection that is used again node may say it twice.
const seen = new WeakSet<ClientRequest>();
subscribe("http.client.request.start", (message) => {
  const { request } = message as { request: ClientRequest };
  if (!seen.has(request)) calls[request.method as "POST" | "GET"] += 1;
  seen.add(request);
});

function transport(token: string | undefined, get: boolean) {
  const authorize: Interceptor = (next) => (request) => {
    if (token !== undefined) request.header.set("Authorization", `Bearer ${token}`);
    return next(request);
  };
  return createConnectTransport({
    baseUrl: setting.url, httpVersion: "1.1", useBinaryFormat: setting.codec === "binary", useHttpGet: get,
    nodeOptions: { agent }, interceptors: [authorize],
  });
}

const clients = new Map<string, Client<Method["service"]>>();

async function call(method: Method, as: RoleName | "nobody", request: Message, options: CallOptions & { get?: boolean } = {}): Promise<Message> {
  const { get = false, ...more } = options;
  const key = `${method.service.typeName} ${as} ${get}`;
  let client = clients.get(key);
  if (!client) {
    client = createClient(method.service, transport(as === "nobody" ? undefined : setting.tokens[as], get));
    clients.set(key, client);
  }
  const run = client[method.desc.localName] as unknown as (request: Message, options: CallOptions) => Promise<Message>;
  const before = { ...calls };
  try {
    return await run(request, { timeoutMs: 20000, ...more });
  } finally {
    const verb = get ? "GET" : "POST";
    if (calls[verb] !== before[verb] + 1) fail(method, `was to be called by ${verb}`);
  }
}

function codeName(code: Code): string {
  return (Code[code] ?? String(code)).replace(/(?<!^)[A-Z]/g, (letter) => `_${letter}`).toLowerCase();
}

function fail(method: Method, what: string): void {
  failures.push(`${method.name} (${setting.codec}): ${what}`);
}

// What a call comes to: "accepted", or the error's code with its sentence.
async function outcomeOf(run: Promise<Message>): Promise<[string, string]> {
  try {
    const answer = await run;
    const outcome = (answer as { outcome?: CommandOutcome }).outcome;
    return [isMessage(outcome, CommandOutcomeSchema) && outcome.repeated ? "repeated" : "accepted", ""];
  } catch (reason) {
    if (!(reason instanceof ConnectError)) throw reason;
    return [codeName(reason.code), reason.rawMessage];
  }
}

async function expect(method: Method, what: string, wanted: string, run: Promise<Message>): Promise<void> {
  const [code, sentence] = await outcomeOf(run);
  if (code !== wanted) fail(method, `${what}: ${wanted} was expected, it came to ${code} ${sentence}`);
  else if (code !== "accepted" && code !== "repeated" && sentence.length < 8) fail(method, `${what}: no sentence with the error: '${sentence}'`);
}

// ---- what holds for every method

async function refusals(method: Method, request: Message): Promise<void> {
  await expect(method, "without a token", "unauthenticated", call(method, "nobody", request));
  await expect(method, `with the role ${method.denied}`, "permission_denied", call(method, method.denied, request));
  const wrong = broken(method.desc.input);
  if (wrong) await expect(method, "with a request that breaks a rule", "invalid_argument", call(method, method.role, wrong));
}

// ---- queries

// The version of an aggregate that was read: others may have changed it since.
function noteVersion(method: Method, answer: Message): void {
  const field = method.desc.output.fields[0];
  if (field?.fieldKind !== "message") return;
  const read = (answer as unknown as Record<string, Record<string, unknown> | undefined>)[field.localName];
  const id = read?.[field.message.fields[0]?.localName ?? ""];
  if (typeof id === "string" && typeof read?.["version"] === "bigint" && versions.has(id)) versions.set(id, read["version"]);
}

async function query(method: Method, step: Step, request: Message): Promise<void> {
  const end = Date.now() + (failures.length < 5 ? 5000 : 200); // projections are moments behind the journal
  for (const get of method.get ? [false, true] : [false]) {
    let reason: string | undefined;
    for (;;) {
      try {
        const message = await call(method, method.role, request, { get });
        const answer = toJson(method.desc.output, message) as JsonObject;
        noteVersion(method, message);
        for (const [name, path] of Object.entries(step.keep ?? {})) {
          words[name] = pick(answer, path);
          kept.add(name);
        }
        reason = missing(fill(step.answer, words), answer);
      } catch (error) {
        reason = String(error);
      }
      if (!reason || Date.now() > end) break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    if (reason) fail(method, `by ${get ? "GET" : "POST"}: ${reason}`);
  }
  const others = absent(words, kept);
  if (JSON.stringify(fill(step.request, others)) === JSON.stringify(fill(step.request, words))) return;
  const wanted = step.absent ?? (method.desc.name.startsWith("Get") || !method.get ? "not_found" : "accepted");
  const asked = fromJson(method.desc.input, fill(step.request, others));
  for (const get of method.get ? [false, true] : [false])
    await expect(method, `with ids that nobody has, by ${get ? "GET" : "POST"}`, wanted, call(method, method.role, asked, { get }));
}

// ---- commands

function withVersion(method: Method, step: Step, version: bigint): Message {
  return fromJson(method.desc.input, { ...fill(step.request, words), expectedVersion: String(version) });
}

// The aggregate that the answer carries, and its version.
function aggregateOf(method: Method, answer: Message): [string, { version?: bigint } | undefined] | undefined {
  const field = method.desc.output.fields.find((one) => one.number === 2 && one.fieldKind === "message");
  return field && [field.localName, (answer as unknown as Record<string, { version?: bigint } | undefined>)[field.localName]];
}

function checkOutcome(method: Method, answer: Message, before: bigint): CommandOutcome | undefined {
  const outcome = (answer as { outcome?: CommandOutcome }).outcome;
  if (!isMessage(outcome, CommandOutcomeSchema)) {
    fail(method, "the answer has no outcome");
    return undefined;
  }
  if (!/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(outcome.messageId)) fail(method, `message id ${outcome.messageId}`);
  if (outcome.aggregateVersion <= before) fail(method, `version ${outcome.aggregateVersion} after version ${before}`);
  if (outcome.sequence <= 0n || outcome.repeated) fail(method, `sequence ${outcome.sequence}, repeated ${outcome.repeated}`);
  const carried = aggregateOf(method, answer);
  if (carried && carried[1]?.version !== outcome.aggregateVersion)
    fail(method, `the answer's ${carried[0]} is ${carried[1] ? `of version ${carried[1].version}` : "missing"}, its outcome of ${outcome.aggregateVersion}`);
  return outcome;
}

let keys = 0;

async function command(method: Method, step: Step, request: Message): Promise<void> {
  if (step.again === undefined) throw new Error(`${method.name}: examples.json does not say what it comes to "again"`);
  const id = ((fill(step.answer, words)["outcome"] ?? {}) as JsonObject)["aggregateId"];
  const before = (typeof id === "string" && versions.get(id)) || 0n;
  if (before > 0n) {
    await expect(method, "expecting another version", "failed_precondition", call(method, method.role, withVersion(method, step, before + 7n)));
    await expect(method, "with another version in If-Match", "failed_precondition",
      call(method, method.role, request, { headers: { "If-Match": `"${before + 7n}"` } }));
  }
  keys += 1;
  const headers: Record<string, string> = { "Idempotency-Key": `${words["id"]}key-${keys}` };
  if (before > 0n && keys % 2) headers["If-Match"] = `"${before}"`;
  const versioned = before > 0n && !(keys % 2) ? withVersion(method, step, before) : request;
  let answer: Message;
  try {
    answer = await call(method, method.role, versioned, { headers });
  } catch (reason) {
    fail(method, `refused: ${reason}`);
    return;
  }
  const json = toJson(method.desc.output, answer) as JsonObject;
  for (const [name, path] of Object.entries(step.keep ?? {})) {
    words[name] = pick(json, path);
    kept.add(name);
  }
  const reason = missing(fill(step.answer, words), json);
  if (reason) fail(method, reason);
  const outcome = checkOutcome(method, answer, before);
  if (!outcome) return;
  versions.set(outcome.aggregateId, outcome.aggregateVersion);
  await repeats(method, step, versioned, headers, outcome);
  if (outcome.aggregateVersion > 1n) {
    const asked = fromJson(method.desc.input, fill(step.request, absent(words, kept)));
    await expect(method, "with ids that nobody has", step.absent ?? "not_found", call(method, method.role, asked));
  }
}

// The same once more: with its key it has no effect and the first answer; without, what the example says.
async function repeats(method: Method, step: Step, request: Message, headers: Record<string, string>, first: CommandOutcome): Promise<void> {
  const repeated = ((await call(method, method.role, request, { headers }).catch((reason: unknown) => {
    fail(method, `refused with the same Idempotency-Key: ${reason}`);
    return undefined;
  })) as { outcome?: CommandOutcome } | undefined)?.outcome;
  if (repeated && !(repeated.repeated && repeated.aggregateId === first.aggregateId && repeated.aggregateVersion === first.aggregateVersion))
    fail(method, `with the same Idempotency-Key: repeated ${repeated.repeated}, version ${repeated.aggregateVersion} after ${first.aggregateVersion}`);
  const plain = fromJson(method.desc.input, fill(step.request, words));
  let version: bigint | undefined;
  const run = call(method, method.role, plain);
  void run.then((answer) => { version = (answer as { outcome?: CommandOutcome }).outcome?.aggregateVersion; }, () => undefined);
  await expect(method, "once more", step.again ?? "", run);
  if (step.again === "accepted" && version !== undefined) versions.set(first.aggregateId, version);
}

// ---- the whole

function find(name: string): Method {
  const method = contract.get(name);
  if (!method) throw new Error(`examples.json names ${name}, and the contract has no such method: take it out`);
  return method;
}

async function tell(step: Step): Promise<void> {
  const method = find(step.method);
  for (const { method: name, command: body } of step.before ?? []) {
    const earlier = find(name);
    const [code] = await outcomeOf(call(earlier, earlier.role, fromJson(earlier.desc.input, { command: fill(body, words) })));
    if (code === "accepted") fail(method, `${name} before it was to be refused`);
  }
  const request = fromJson(method.desc.input, fill(step.request, words));
  await refusals(method, request);
  await (method.command ? command(method, step, request) : query(method, step, request));
}

function coverage(): void {
  const told = new Set(story.steps.map((step) => step.method));
  for (const name of [...told, ...story.unserved, ...story.strangers, ...story.coming]) find(name);
  for (const method of contract.values()) {
    const path = `/${method.service.typeName}/${method.desc.name}`;
    if (!setting.paths.includes(path)) failures.push(`${method.name} is in proto/, and the server's /openapi.json does not have ${path}`);
    if (![...story.coming, ...story.strangers].includes(method.name) && told.has(method.name) === story.unserved.includes(method.name))
      failures.push(told.has(method.name)
        ? `${method.name} is in "unserved" of tests/clients/examples.json and has a step there too: take it out of one`
        : `nothing calls ${method.name}: add a step to tests/clients/examples.json, {"method": "${method.name}", "request": {...}, "answer": {...}` +
          `${method.command ? ', "again": "..."' : ""}}, with a valid ${method.desc.input.name} (or name it in "unserved" while the server has no handler)`);
  }
  if (setting.paths.length !== contract.size) failures.push(`the server has ${setting.paths.length} methods, proto/ has ${contract.size}`);
}

async function unserved(name: string): Promise<void> {
  const method = find(name);
  const [code, sentence] = await outcomeOf(call(method, method.role, create(method.desc.input)));
  if (code !== "unimplemented")
    fail(method, `is served now (${code} ${sentence}): take it out of "unserved" in tests/clients/examples.json and add a step for it`);
}

coverage();
await typedTour(setting.url, setting.tokens.responder, setting.codec === "binary", words["id"] ?? "", (what) => failures.push(`typed (${setting.codec}): ${what}`));
for (const step of story.steps) {
  if (story.coming.includes(step.method)) continue;
  try {
    await tell(step);
  } catch (reason) {
    failures.push(`${step.method} (${setting.codec}): ${reason}`);
  }
}
for (const name of story.unserved) await unserved(name);
agent.destroy();
console.log(JSON.stringify({ failures, calls, methods: contract.size, unserved: story.unserved.length }));
