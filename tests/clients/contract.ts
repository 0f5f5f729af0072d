// SPDX-License-Identifier: Apache-2.0
// The contract as the generated code knows it: every service and method, the role that each asks for, and how to break a
// rule of its request. Nothing is named here, so nothing new can be forgotten.
import { readdirSync } from "node:fs";
import { create, getOption, type DescField, type DescMessage, type DescMethodUnary, type DescService, type Message } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { Role, role as roleOption, rule as ruleOption } from "./generated/ameide_core_proto/options/v1/options_pb.js";

export type RoleName = "viewer" | "responder" | "approver" | "admin" | "agent" | "integration" | "stranger";

// Whom a method that asks for a role turns away: of those who may not, the one who may most. A stranger's asks for no token
// and turns nobody away by it: such methods are not called here (examples.json, "strangers").
const TURNED_AWAY: Record<RoleName, RoleName> = {
  viewer: "agent", responder: "viewer", approver: "responder", admin: "approver", integration: "viewer", agent: "viewer", stranger: "stranger",
};

export interface Method {
  name: string; // "SLOService/GetSLO"
  service: DescService;
  desc: DescMethodUnary;
  get: boolean; // has no side effects, and so is answered by GET too
  command: boolean; // {command, expected_version}
  role: RoleName;
  denied: RoleName;
}

function describe(service: DescService, desc: DescService["methods"][number]): Method {
  if (desc.methodKind !== "unary") throw new Error(`${desc.toString()}: only unary methods are called here`);
  const role = Role[getOption(desc, roleOption)]?.toLowerCase() as RoleName;
  if (!(role in TURNED_AWAY)) throw new Error(`${desc.toString()}: role ${role} is new: say in contract.ts whom it turns away`);
  return {
    name: `${service.name}/${desc.name}`, service, desc: desc as DescMethodUnary, role, denied: TURNED_AWAY[role],
    get: desc.idempotency === 1 /* NO_SIDE_EFFECTS */, command: desc.input.fields[0]?.name === "command",
  };
}

// All methods, by name, from all generated files.
export async function readContract(): Promise<Map<string, Method>> {
  const folder = new URL("./generated/", import.meta.url);
  const methods = new Map<string, Method>();
  for (const file of readdirSync(folder, { recursive: true }) as string[]) {
    if (!file.endsWith("_pb.js")) continue;
    for (const exported of Object.values(await import(new URL(file, folder).href)) as { kind?: string }[]) {
      if (exported.kind !== "service") continue;
      const service = exported as DescService;
      for (const one of service.methods) {
        const method = describe(service, one);
        if (methods.has(method.name)) throw new Error(`two methods are ${method.name}`);
        methods.set(method.name, method);
      }
    }
  }
  return methods;
}

// A request that breaks a rule written in the .proto; undefined when there is none to break.
export function broken(message: DescMessage): Message | undefined {
  const breaking = (field: DescField): boolean => {
    const rule = getOption(field, ruleOption);
    return rule.required || (field.fieldKind === "scalar" && (rule.gte === 0 || rule.gte === 1 || rule.maxLen > 0));
  };
  const field = message.fields.find((one) => getOption(one, ruleOption).required) ?? message.fields.find(breaking);
  if (!field) return undefined;
  const request = create(message);
  if (getOption(field, ruleOption).required || field.fieldKind !== "scalar") return request; // left out
  const rule = getOption(field, ruleOption);
  const view = reflect(message, request);
  if (rule.maxLen > 0) view.set(field, "x".repeat(rule.maxLen + 1));
  else if (rule.gte === 0) view.set(field, -1);
  return request; // gte 1: 0, as it is
}
