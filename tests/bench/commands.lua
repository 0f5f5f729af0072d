-- SPDX-License-Identifier: Apache-2.0
-- wrk script: a mix of commands by POST with JSON, each valid in any order: an incident opened, an alert ingested, an
-- incident of the pool given to somebody else, a note on it, a health check. Arguments: token, pool, a name for the run.
local core = "/ameide_core_proto.sre.core.v1."
local threads, n, now = 0, 0, ""
function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end
function init(args)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["Authorization"] = "Bearer " .. args[1]
  pool, run = tonumber(args[2]), args[3]
  now = os.date("!%Y-%m-%dT%H:%M:%SZ")
end
local makers = {
  function(id) return "IncidentService/CreateIncident", string.format(
    '{"command":{"incidentId":"%s","title":"Checkout answers slowly","description":"p99 over a second for five minutes","severity":"SEVERITY_HIGH","serviceId":"checkout"}}', id) end,
  function(id) return "AlertService/IngestAlert", string.format(
    '{"command":{"fingerprint":"%s","name":"HighLatency","severity":"SEVERITY_HIGH","status":"ALERT_STATUS_FIRING","source":"ALERT_SOURCE_PROMETHEUS","startsAt":"%s","labels":{"alertname":"HighLatency","namespace":"shop","pod":"checkout-7d4b9"}}}', id, now) end,
  function(id) return "IncidentService/AssignIncident", string.format(
    '{"command":{"incidentId":"pool-%d","assignedTo":"responder-%d"}}', n % pool, n) end,
  function(id) return "HealthService/RecordHealthCheck", string.format(
    '{"command":{"healthcheckId":"%s","resourceRef":{"type":"pod","id":"checkout-7d4b9","namespace":"shop","cluster":"eu-1"},"timestamp":"%s","status":"HEALTH_STATUS_HEALTHY","source":"HEALTH_SOURCE_PROBE"}}', id, now) end,
}
function request()
  n = n + 1
  local path, body = makers[n % #makers + 1](string.format("%s-%d-%d", run, number, n))
  return wrk.format(nil, core .. path, nil, body)
end
function done(summary, latency, requests)
  io.write(string.format("result requests=%d seconds=%.3f p50_ms=%.3f p99_ms=%.3f errors=%d\n", summary.requests,
    summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
