-- SPDX-License-Identifier: Apache-2.0
-- wrk script: one read of the domain, over and over. Arguments: token, method, body with %d for a number, how many numbers.
local requests, n = {}, 0
function init(args)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["Authorization"] = "Bearer " .. args[1]
  local step = math.max(1, math.floor(tonumber(args[4]) / 1000))
  for i = 0, tonumber(args[4]) - 1, step do
    requests[#requests + 1] = wrk.format(nil, "/ameide_core_proto.sre.core.v1." .. args[2], nil, (args[3]:gsub("%%d", i)))
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
