-- SPDX-License-Identifier: Apache-2.0
-- wrk script: GetSLO by POST with JSON, as a curl user or a Connect client sends it. Arguments: token, number of SLOs.
local token, slos = nil, 1
function init(args)
  token, slos = args[1], tonumber(args[2])
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["Authorization"] = "Bearer " .. token
end
local n = 0
function request()
  n = (n + 1) % slos
  return wrk.format(nil, "/ameide_core_proto.sre.core.v1.SLOService/GetSLO", nil, '{"sloId":"load-' .. n .. '"}')
end
function done(summary, latency, requests)
  io.write(string.format("result requests=%d seconds=%.3f p50_ms=%.3f p99_ms=%.3f errors=%d\n", summary.requests,
    summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
