// SPDX-License-Identifier: Apache-2.0
// A user's own code against the generated types: what compiles here is what a user may write, and what comes back has the
// types that it promises (64-bit numbers, enums, a oneof, times).
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { SLOService } from "./generated/ameide_core_proto/sre/core/v1/commands_pb.js";
import { Comparison, SLOWindow, type SLO } from "./generated/ameide_core_proto/sre/core/v1/slo_pb.js";

export async function typedTour(baseUrl: string, token: string, useBinaryFormat: boolean, id: string, wrong: (what: string) => void): Promise<void> {
  const transport = createConnectTransport({
    baseUrl, httpVersion: "1.1", useBinaryFormat,
    interceptors: [(next) => (request) => {
      request.header.set("Authorization", `Bearer ${token}`);
      return next(request);
    }],
  });
  const slos = createClient(SLOService, transport);
  const command = {
    sloId: `${id}typed`, name: "free disk, ≥ 10 %", target: 99.95, window: SLOWindow.SLO_WINDOW_7D,
    sliSpec: {
      kind: { case: "gaugeThreshold" as const, value: { selector: "free_bytes", comparison: Comparison.GREATER_OR_EQUAL, threshold: 0.1, divisorSelector: "size_bytes" } },
      windowSeconds: 300,
    },
    labels: { team: "storage" },
  };
  const { outcome } = await slos.createSLO({ command });
  if (outcome?.aggregateVersion !== 1n || typeof outcome.sequence !== "bigint") wrong(`the outcome is ${JSON.stringify(outcome, (_, one: unknown) => String(one))}`);

  const slo: SLO | undefined = (await slos.getSLO({ sloId: command.sloId })).slo;
  if (!slo) return wrong("GetSLO answers without an SLO");
  if (slo.name !== command.name || slo.target !== 99.95 || slo.window !== SLOWindow.SLO_WINDOW_7D || slo.labels["team"] !== "storage") wrong("other values came back");
  if (slo.sliSpec?.kind.case !== "gaugeThreshold" || slo.sliSpec.kind.value.comparison !== Comparison.GREATER_OR_EQUAL) wrong("another kind of SLI came back");
  const age = slo.createdAt ? Date.now() - timestampDate(slo.createdAt).getTime() : NaN;
  if (!(Math.abs(age) < 60000)) wrong(`created_at is ${age} ms ago`);

  try {
    await slos.createSLO({ command: { ...command, sloId: `${id}wrong`, target: 100 } });
    wrong("a target of 100 was taken");
  } catch (reason) {
    const error = ConnectError.from(reason);
    if (error.code !== Code.InvalidArgument || !error.rawMessage.includes("command.target")) wrong(`a target of 100: ${error.message}`);
  }
}
