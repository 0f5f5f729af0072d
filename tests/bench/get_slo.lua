-- SPDX-License-Identifier: Apache-2.0
-- wrk script: GetSLO by POST with JSON, as a curl user or a Connect client sends it. Arguments: token, number of SLOs.
-- The requests are made before the clock starts: the load generator shares the cores with what it measures.
local requests, n = {}, 0
function init(args)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["Authorization"] = "Bearer " .. args[1]
  for slo = 0, tonumber(args[2]) - 1 do
    requests[slo + 1] = wrk.format(nil, "/ameide_core_proto.sre.core.v1.SLOService/GetSLO", nil, '{"sloId":"load-' .. slo .. '"}')
  end
end
function request()
  n = n % #requests + 1
  return requests[n]
end
function done(summary, latency, requests)
  io.write(string.format("result requests=%d seconds=%.3f p50_ms=%.3f p99_ms=%.3f errors=%d\n", summary.requests,
    summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
