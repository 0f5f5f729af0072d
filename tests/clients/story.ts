// SPDX-License-Identifier: Apache-2.0
// examples.json: one story that uses every method; its words filled in, and answers compared with what it expects.
import { readFileSync } from "node:fs";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";

export interface Step {
  method: string;
  request: JsonObject;
  answer: JsonObject;
  keep?: Record<string, string>;
  before?: { method: string; command: JsonObject }[];
  again?: string;
  absent?: string;
}

export interface Story {
  steps: Step[];
  unserved: string[]; // the server has no handler: it must say so
  strangers: string[]; // ask for no token: what they are given proves itself, and is not told here
  coming: string[]; // being built: not called yet
}

export type Words = Record<string, string>;

export function readStory(path: string): Story {
  return JSON.parse(readFileSync(path, "utf8")) as Story;
}

// {id} and the other words by their values; {now+60} by a time.
export function fill<T extends JsonValue>(value: T, words: Words): T {
  if (typeof value === "string") {
    return value.replace(/\{(\w+)([+-]\d+)?\}/g, (whole, name: string, shift: string | undefined) => {
      if (name === "now") return new Date((Number(words["now"]) + Number(shift ?? 0)) * 1000).toISOString();
      return words[name] ?? whole;
    }) as T;
  }
  if (Array.isArray(value)) return value.map((one) => fill(one, words)) as JsonValue as T;
  if (value !== null && typeof value === "object")
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, fill(one, words)])) as JsonValue as T;
  return value;
}

// The same words, but of things that nobody has.
export function absent(words: Words, kept: Iterable<string>): Words {
  const others: Words = { ...words, id: "absent-", agent: "absent-agent" };
  for (const name of kept) others[name] = /^\d+$/.test(words[name] ?? "") ? "999999999" : "absent";
  return others;
}

// Where in the answer what is expected is missing; undefined when all is there.
export function missing(expected: JsonValue, found: JsonValue | undefined, where = "answer"): string | undefined {
  if (expected === "*") return found === undefined || found === "" ? `${where} is missing` : undefined;
  if (Array.isArray(expected)) {
    if (!Array.isArray(found)) return `${where} is ${JSON.stringify(found)}, not a list`;
    const without = expected.find((one) => !found.some((item) => missing(one, item) === undefined));
    return without === undefined ? undefined : `${where} has no item like ${JSON.stringify(without)}: ${JSON.stringify(found).slice(0, 600)}`;
  }
  if (expected !== null && typeof expected === "object") {
    if (found === null || typeof found !== "object" || Array.isArray(found)) return `${where} is ${JSON.stringify(found)}`;
    for (const [key, one] of Object.entries(expected)) {
      const reason = missing(one, found[key], `${where}.${key}`);
      if (reason) return reason;
    }
    return undefined;
  }
  return expected === found ? undefined : `${where} is ${JSON.stringify(found)}, not ${JSON.stringify(expected)}`;
}

// "rejections.0.rejectionId" in an answer.
export function pick(answer: JsonValue, path: string): string {
  let at: JsonValue | undefined = answer;
  for (const part of path.split(".")) at = (at as Record<string, JsonValue> | undefined)?.[part];
  if (typeof at !== "string") throw new Error(`the answer has no text at ${path}: ${JSON.stringify(answer).slice(0, 600)}`);
  return at;
}
