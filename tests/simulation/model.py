# SPDX-License-Identifier: Apache-2.0
"""What the domain should do, once more and as small as can be: plain dictionaries, one function an intent.

A rule looks at the state and answers with Refused(code), with [] for a repeat, or with the changes that it makes: one
(kind, id, what to set) a fact, in order. Nothing is changed before the simulation says that it was committed."""
import collections

HOUR_MS, DAYS30_H = 3600 * 1000, 30 * 24
VIEWER, RESPONDER, APPROVER, ADMIN, AGENT, INTEGRATION, SELF = range(1, 8)
PERSONS = {RESPONDER, APPROVER, ADMIN}
ALERT_EXPIRY_MS = 5 * 60 * 1000

Refused = collections.namedtuple("Refused", "code")
ABSENT, CONFLICT, INPUT, EXISTS, DENIED = (Refused(c) for c in ("absent", "conflict", "input", "exists", "denied"))

OPEN, ACKNOWLEDGED, INVESTIGATING, MITIGATING, RESOLVED, CLOSED = range(1, 7)
FIRING, ALERT_RESOLVED, SILENCED, ALERT_ACKNOWLEDGED = range(1, 5)


class Aggregate:
    def __init__(self):
        self.version, self.deleted, self.state = 0, False, {}

    def exists(self):
        return self.version > 0 and not self.deleted


class Tenant:
    def __init__(self):
        self.aggregates = collections.defaultdict(Aggregate)
        self.windows = {}   # (slo, agent, cluster, start s): (revision, good, total, expected, seen)
        self.hours = collections.defaultdict(lambda: collections.defaultdict(lambda: [0, 0]))  # slo: hour: good, total
        self.marks = {}     # message id: (kind, id)
        self.keys = {}      # (actor, key): (request, kind, id)
        self.streams = {}   # (agent, epoch, stream): last sequence

    def state(self, kind, id_):
        found = self.aggregates.get((kind, id_))
        return found.state if found and found.exists() else None


RULES = {}


def rule(kind, id_field, senders):
    def keep(function):
        RULES[function.__name__] = (kind, id_field, senders, function)
        return function
    return keep


# ---- incidents: (from, to): whether a reason is needed

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


@rule("incident", "incident_id", PERSONS | {INTEGRATION, SELF})
def create_incident(tenant, f, who):
    if tenant.state("incident", f["incident_id"]) is not None:
        return EXISTS
    return [("incident", f["incident_id"], {"status": OPEN, "severity": f["severity"], "assigned": f.get("assigned_to", ""),
                                            "alerts": []})]


@rule("incident", "incident_id", PERSONS | {INTEGRATION, SELF})
def acknowledge_incident(tenant, f, who):
    return move(tenant, f["incident_id"], ACKNOWLEDGED, f.get("note"), who)


@rule("incident", "incident_id", PERSONS | {INTEGRATION, SELF})
def transition_incident_status(tenant, f, who):
    return move(tenant, f["incident_id"], f["status"], f.get("reason"), who)


@rule("incident", "incident_id", PERSONS | {INTEGRATION, SELF})
def resolve_incident(tenant, f, who):
    return move(tenant, f["incident_id"], RESOLVED, f.get("resolution"), who)


@rule("incident", "incident_id", PERSONS | {INTEGRATION, SELF})
def close_incident(tenant, f, who):
    return move(tenant, f["incident_id"], CLOSED, f.get("reason"), who)


@rule("incident", "incident_id", PERSONS | {INTEGRATION, SELF})
def reclassify_incident_severity(tenant, f, who):
    state = tenant.state("incident", f["incident_id"])
    if state is None:
        return ABSENT
    if state["status"] == CLOSED:
        return CONFLICT
    return [] if state["severity"] == f["severity"] else [("incident", f["incident_id"], {"severity": f["severity"]})]


@rule("incident", "incident_id", PERSONS | {INTEGRATION, SELF})
def assign_incident(tenant, f, who):
    state = tenant.state("incident", f["incident_id"])
    if state is None:
        return ABSENT
    if state["status"] == CLOSED:
        return CONFLICT
    to = f.get("assigned_to", "")
    return [] if state["assigned"] == to else [("incident", f["incident_id"], {"assigned": to})]


@rule("incident", "incident_id", PERSONS | {INTEGRATION, SELF})
def add_timeline_entry(tenant, f, who):
    state = tenant.state("incident", f["incident_id"])
    if state is None:
        return ABSENT
    return [("incident", f["incident_id"], {})]


# ---- health checks

@rule("health_check", "healthcheck_id", PERSONS | {AGENT, INTEGRATION, SELF})
def record_health_check(tenant, f, who):
    state, seen = tenant.state("health_check", f["healthcheck_id"]), f["timestamp"]["seconds"]
    if seen * 1000 > who.now_ms + 5 * 60 * 1000:
        return INPUT
    if state and state["seen"] == seen and state["status"] == f["status"]:
        return []
    late = state and seen < state["seen"]
    return [("health_check", f["healthcheck_id"], {} if late else {"seen": seen, "status": f["status"]})]


# ---- SLOs and their windows

@rule("slo", "slo_id", PERSONS | {INTEGRATION, SELF})
def create_slo(tenant, f, who):
    if tenant.state("slo", f["slo_id"]) is not None:
        return EXISTS
    return [("slo", f["slo_id"], {"target": f["target"]})]


@rule("slo", "slo_id", {AGENT, INTEGRATION, SELF})
def record_sli_window(tenant, f, who):
    if tenant.state("slo", f["slo_id"]) is None:
        return ABSENT
    start, key = f["window_start"]["seconds"], window_key(f, who)
    if f["good"] > f["total"] or f["scrapes_seen"] > f["scrapes_expected"] or start % f["window_seconds"]:
        return INPUT
    if start * 1000 > who.now_ms + 5 * 60 * 1000 or start * 1000 // HOUR_MS <= who.now_ms // HOUR_MS - DAYS30_H:
        return INPUT
    before = tenant.windows.get(key, (0, 0, 0))
    if f["revision"] <= before[0]:
        return []
    changes = [("slo", f["slo_id"], {("window",): (key, (f["revision"], f["good"], f["total"]))})]
    good, total = budget_sums(tenant, f["slo_id"], who.now_ms, 30)
    state, was = tenant.state("slo", f["slo_id"]), exhausted(good, total)
    is_ = exhausted(good + f["good"] - before[1], total + f["total"] - before[2])
    if is_ and not (state.get("exhausted") and was):  # said once for each exhaustion
        changes.append(("slo", f["slo_id"], {"exhausted": True}))
    elif not is_:
        changes[0][2]["exhausted"] = False
    return changes


def exhausted(good, total):
    """By the target of 99 percent that create_slo has here."""
    return total > good and (total - good) * 100 >= total


def window_key(f, who):
    return (f["slo_id"], who.actor, f.get("cluster_id", ""), f["window_start"]["seconds"])


def budget_sums(tenant, slo_id, now_ms, days):
    """Good and total over the rolling window: the latest revision of each window, by the hour."""
    hours, first = tenant.hours[slo_id], now_ms // HOUR_MS - days * 24
    within = [counts for hour, counts in hours.items() if hour > first]
    return sum(c[0] for c in within), sum(c[1] for c in within)


class Who:
    def __init__(self, actor, role, now_ms):
        self.actor, self.role, self.now_ms = actor, role, now_ms


def decide(tenant, which, f, who, expected_version=0):
    """Refused, [] or changes."""
    kind, id_field, senders, function = RULES[which]
    if who.role not in senders:
        return DENIED
    found = tenant.aggregates.get((kind, f[id_field]))
    if expected_version and expected_version != (found.version if found else 0):
        return CONFLICT
    return function(tenant, f, who)


def commit(tenant, changes):
    for kind, id_, sets in changes:
        aggregate = tenant.aggregates[(kind, id_)]
        aggregate.version += 1
        for name, value in sets.items():
            if name == ("window",):
                key, counts = value
                before, hour = tenant.windows.get(key, (0, 0, 0)), tenant.hours[key[0]][key[3] * 1000 // HOUR_MS]
                hour[0] += counts[1] - before[1]
                hour[1] += counts[2] - before[2]
                tenant.windows[key] = counts
            elif name == "deleted":
                aggregate.deleted = value
            else:
                aggregate.state[name] = value
        if "deleted" not in sets:
            aggregate.deleted = False
