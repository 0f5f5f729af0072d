# SPDX-License-Identifier: Apache-2.0
"""Incidents and alerts, and what ties them."""
from model import (ABSENT, ADMIN, AGENT, AHEAD_MS, CONFLICT, DUE, EXISTS, HOUR_MS, DAY_MS, INPUT, INTEGRATION, PERSONS, SELF, ms, rule)

OPEN, ACKNOWLEDGED, INVESTIGATING, MITIGATING, RESOLVED, CLOSED = range(1, 7)
FIRING, ENDED, SILENCED, SEEN = range(1, 5)  # of alerts; seen: acknowledged
SOURCES = {1: "prometheus", 2: "custom", 3: "picket"}
EXPIRY_MS = 5 * 60 * 1000
RESPONSE = PERSONS | {INTEGRATION, SELF}

# (from, to): whether a reason is needed
MOVES = {(OPEN, ACKNOWLEDGED): False, (OPEN, INVESTIGATING): False, (OPEN, MITIGATING): False, (OPEN, RESOLVED): True,
         (ACKNOWLEDGED, INVESTIGATING): False, (ACKNOWLEDGED, MITIGATING): False, (ACKNOWLEDGED, RESOLVED): True,
         (INVESTIGATING, MITIGATING): False, (INVESTIGATING, RESOLVED): True,
         (MITIGATING, INVESTIGATING): False, (MITIGATING, RESOLVED): True,
         (RESOLVED, INVESTIGATING): False, (RESOLVED, CLOSED): False, (CLOSED, INVESTIGATING): True}


def move(tenant, id_, to, reason, who):
    state = tenant.state("incident", id_)
    if state is None:
        return ABSENT
    if state["status"] == to == ACKNOWLEDGED:  # a repeat by who has it; somebody else is told who that is
        return [] if state["acknowledged_by"] == who.actor else CONFLICT
    needed = MOVES.get((state["status"], to))
    if needed is None:
        return CONFLICT
    if needed and not reason:
        return INPUT
    return [("incident", id_, {"status": to, **({"acknowledged_by": who.actor} if to == ACKNOWLEDGED else {})})]


def ties(tenant, incident_id, alert_ids):
    """Refused, or the alerts that are not the incident's yet, each once."""
    found, unknown = [], False
    for alert_id in alert_ids:
        alert = tenant.state("alert", alert_id)
        if alert is None:
            unknown = True
        elif alert_id not in found and alert["incident"] != incident_id:
            other = tenant.state("incident", alert["incident"])
            if other and other["status"] != CLOSED:
                return CONFLICT
            found.append(alert_id)
    return ABSENT if unknown else found


@rule("incident", "incident_id", RESPONSE, needs=("title",))
def create_incident(tenant, f, who):
    if tenant.state("incident", f["incident_id"]) is not None:
        return EXISTS
    tied = ties(tenant, f["incident_id"], f.get("alert_ids", ()))
    if not isinstance(tied, list):
        return tied
    return [("incident", f["incident_id"], {"status": OPEN, "severity": f["severity"], "assigned": f.get("assigned_to", ""),
                                            "alerts": tuple(tied)})] \
        + [("alert", id_, {"incident": f["incident_id"]}) for id_ in tied]


@rule("incident", "incident_id", RESPONSE)
def correlate_alerts(tenant, f, who):
    state = tenant.state("incident", f["incident_id"])
    if state is None:
        return ABSENT
    if state["status"] == CLOSED:
        return CONFLICT
    tied = ties(tenant, f["incident_id"], f["alert_ids"])
    if not isinstance(tied, list) or not tied:
        return tied
    listed = state["alerts"] + tuple(id_ for id_ in tied if id_ not in state["alerts"])
    return [("incident", f["incident_id"], {"alerts": listed})] + [("alert", id_, {"incident": f["incident_id"]}) for id_ in tied]


@rule("incident", "incident_id", RESPONSE)
def acknowledge_incident(tenant, f, who):
    return move(tenant, f["incident_id"], ACKNOWLEDGED, f.get("note"), who)


@rule("incident", "incident_id", RESPONSE)
def transition_incident_status(tenant, f, who):
    return move(tenant, f["incident_id"], f["status"], f.get("reason"), who)


@rule("incident", "incident_id", RESPONSE, needs=("resolution",))
def resolve_incident(tenant, f, who):
    return move(tenant, f["incident_id"], RESOLVED, f.get("resolution"), who)


@rule("incident", "incident_id", RESPONSE)
def close_incident(tenant, f, who):
    return move(tenant, f["incident_id"], CLOSED, f.get("reason"), who)


@rule("incident", "incident_id", RESPONSE)
def reclassify_incident_severity(tenant, f, who):
    return change_open(tenant, f["incident_id"], "severity", f["severity"])


@rule("incident", "incident_id", RESPONSE)
def assign_incident(tenant, f, who):
    return change_open(tenant, f["incident_id"], "assigned", f.get("assigned_to", ""))


def change_open(tenant, id_, name, to):
    state = tenant.state("incident", id_)
    if state is None:
        return ABSENT
    if state["status"] == CLOSED:
        return CONFLICT
    return [] if state[name] == to else [("incident", id_, {name: to})]


@rule("incident", "incident_id", RESPONSE, needs=("text",))
def add_timeline_entry(tenant, f, who):
    if tenant.state("incident", f["incident_id"]) is None:
        return ABSENT
    return [("incident", f["incident_id"], {})]


# ---- alerts

def alert_id(f):
    return f"{SOURCES[f['source']]}.{f['fingerprint']}"


def judge(state, f, starts, observed, expires, ends):
    """change, late or repeat"""
    if starts != state["starts"]:
        return "change" if starts > state["starts"] else "late"
    newer, same_time, fires = observed > state["observed"], observed == state["observed"], state["status"] != ENDED
    if f["status"] == FIRING:
        if not fires:
            return "change" if newer else "late"
        return "change" if newer and expires - state["expires"] >= EXPIRY_MS // 2 else "repeat"
    if fires or state["expired"]:
        return "change" if newer or same_time else "late"
    if "ends_at" not in f or ends == state["ends"]:
        return "repeat"
    return "change" if newer or (same_time and ends > state["ends"]) else "late"


@rule("alert", alert_id, {AGENT, INTEGRATION, ADMIN, SELF}, needs=("name",))
def ingest_alert(tenant, f, who):
    id_, starts = alert_id(f), ms(f["starts_at"])
    if f["status"] not in (FIRING, ENDED):
        return INPUT
    if f["status"] == ENDED and "ends_at" in f and ms(f["ends_at"]) < starts:
        return INPUT
    if f["status"] == ENDED and "ends_at" in f:
        seen = ms(f["observed_at"]) if "observed_at" in f else who.now_ms
        by = max(who.now_ms, min(seen, who.now_ms + HOUR_MS))
        if ms(f["ends_at"]) - by > AHEAD_MS:
            return INPUT
    if starts - who.now_ms > HOUR_MS:
        return INPUT
    observed = min(ms(f["observed_at"]) if "observed_at" in f else who.now_ms, who.now_ms)
    if f["status"] == FIRING:
        if starts - observed > HOUR_MS:
            return INPUT
        for name in ("ends_at", "expires_at"):
            if name in f and (starts <= ms(f[name]) < observed or ms(f[name]) - who.now_ms > 30 * DAY_MS):
                return INPUT
    said = [ms(f[name]) for name in ("expires_at", "ends_at") if name in f and ms(f[name]) > observed]
    expires = said[0] if said else observed + EXPIRY_MS
    ends = None if f["status"] == FIRING else ms(f["ends_at"]) if "ends_at" in f else observed
    state = tenant.state("alert", id_)
    verdict = judge(state, f, starts, observed, expires, ends) if state else "change"
    late = (starts, f["status"], ends or 0)
    known = state["late"] if state else None
    if verdict == "repeat" or (verdict == "late" and known and (late == known or (late < known and who.role != AGENT))):
        return []
    if verdict == "late":
        return [("alert", id_, {"occurrences": state["occurrences"] + 1, "late": late})]
    to = {"status": f["status"], "starts": starts, "observed": observed, "ends": ends, "expired": False,
          "expires": expires if f["status"] == FIRING else None, "late": None, "acknowledged_by": "",
          "occurrences": state["occurrences"] + 1 if state else 1, "incident": "", "silence": None}
    if state:
        fired, same = state["status"] != ENDED, starts == state["starts"]
        incident = tenant.state("incident", state["incident"])
        begins = not same or (not fired and f["status"] == FIRING)
        if not begins or (incident and incident["status"] < RESOLVED):
            to["incident"] = state["incident"]
        to["silence"], to["late"] = state["silence"], state["late"]
        known = same and (fired or state["expired"])
        if known:
            to["acknowledged_by"] = state["acknowledged_by"]
        if f["status"] == FIRING and same and fired:
            to["status"] = state["status"]
        elif f["status"] == FIRING and state["silence"] and state["silence"][0] > who.now_ms:
            to["status"] = SILENCED
        elif f["status"] == FIRING and known and state["acknowledged_by"]:
            to["status"] = SEEN
    return [("alert", id_, to)]


@rule("alert", "alert_id", RESPONSE)
def acknowledge_alert(tenant, f, who):
    state = tenant.state("alert", f["alert_id"])
    if state is None:
        return ABSENT
    if state["status"] == SEEN:
        return [] if state["acknowledged_by"] == who.actor else CONFLICT
    return [("alert", f["alert_id"], {"status": SEEN, "acknowledged_by": who.actor})] if state["status"] == FIRING else CONFLICT


@rule("alert", "alert_id", PERSONS | {SELF}, needs=("reason",))
def silence_alert(tenant, f, who):
    state, until = tenant.state("alert", f["alert_id"]), ms(f["until"])
    if state is None:
        return ABSENT
    if until <= who.now_ms or until - who.now_ms > 30 * DAY_MS:
        return INPUT
    if state["status"] == ENDED and not state["silence"]:
        return CONFLICT
    if state["silence"] == (until, f["reason"]):
        return []
    return [("alert", f["alert_id"], {"silence": (until, f["reason"]),
                                      "status": ENDED if state["status"] == ENDED else SILENCED})]


def unsilenced(state):
    if state["status"] != SILENCED:
        return {"silence": None}
    return {"silence": None, "status": SEEN if state["acknowledged_by"] else FIRING}


@rule("alert", "alert_id", PERSONS | {SELF})
def unsilence_alert(tenant, f, who):
    state = tenant.state("alert", f["alert_id"])
    if state is None:
        return ABSENT
    return [("alert", f["alert_id"], unsilenced(state))] if state["silence"] else []


@rule("alert", "alert_id", {SELF})
def expire_alert(tenant, f, who):
    raise AssertionError("nobody but the aggregator may say so")


def alert_due(tenant, id_, state, now_ms):
    times = [t for t in (state["expires"], state["silence"] and state["silence"][0]) if t]
    if not times or min(times) > now_ms:
        return []
    changes, over = [], dict(state)
    if state["expires"] == min(times):
        ended = {"status": ENDED, "ends": state["expires"], "expires": None, "expired": True}
        over.update(ended)
        changes.append(("alert", id_, ended))
    if state["silence"] and state["silence"][0] == min(times):
        changes.append(("alert", id_, unsilenced(over)))
    return changes


DUE["alert"] = alert_due
