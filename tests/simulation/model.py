# SPDX-License-Identifier: Apache-2.0
"""What the domain should do, once more and as small as can be: plain dictionaries, one function an intent.

A rule (in rules_*.py) looks at the state and answers with Refused(code), with [] for a repeat, or with the changes that it
makes: one (kind, id, what to set) a fact, in order. Nothing is changed before the simulation says that it was committed."""
import collections

HOUR_MS, DAY_MS = 3600 * 1000, 24 * 3600 * 1000
AHEAD_MS = 5 * 60 * 1000  # a clock may be so far ahead
VIEWER, RESPONDER, APPROVER, ADMIN, AGENT, INTEGRATION, SELF = range(1, 8)
PERSONS = {RESPONDER, APPROVER, ADMIN}

Refused = collections.namedtuple("Refused", "code")
ABSENT, CONFLICT, INPUT, EXISTS, DENIED = (Refused(c) for c in ("absent", "conflict", "input", "exists", "denied"))


class Aggregate:
    def __init__(self):
        self.version, self.deleted, self.state = 0, False, {}

    def exists(self):
        return self.version > 0 and not self.deleted


class Tenant:
    def __init__(self):
        self.aggregates = collections.defaultdict(Aggregate)
        self.windows = {}   # (slo, agent, cluster, start s): (revision, counts, seconds)
        self.hours = collections.defaultdict(lambda: collections.defaultdict(lambda: (0, 0, 0, 0)))  # slo: hour: counts
        self.marks = {}     # message id: request
        self.keys = {}      # (actor, key): request
        self.streams = {}   # (agent, epoch, stream): last sequence

    def state(self, kind, id_):
        found = self.aggregates.get((kind, id_))
        return found.state if found and found.exists() else None

    def of(self, kind):
        return ((id_, a.state) for (k, id_), a in self.aggregates.items() if k == kind and a.exists())


class Who:
    def __init__(self, actor, role, now_ms):
        self.actor, self.role, self.now_ms = actor, role, now_ms


Rule = collections.namedtuple("Rule", "kind id_of senders needs function")
RULES = {}


def rule(kind, id_of, senders, needs=()):
    """id_of: the field of the aggregate's id, or what makes it of the fields. needs: fields that must say something."""
    def keep(function):
        RULES[function.__name__] = Rule(kind, id_of if callable(id_of) else lambda f: f[id_of], senders, needs, function)
        return function
    return keep


def ms(timestamp):
    return timestamp["seconds"] * 1000 + timestamp.get("nanos", 0) // 1000000


def at(time_ms):
    return {"seconds": time_ms // 1000, "nanos": time_ms % 1000 * 1000000}


def place(which, f):
    return RULES[which].kind, RULES[which].id_of(f)


def decide(tenant, which, f, who, expected_version=0):
    """Refused, [] or changes."""
    asked = RULES[which]
    if any(not f.get(name) for name in asked.needs):
        return INPUT
    if who.role not in asked.senders:
        return DENIED
    found = tenant.aggregates.get(place(which, f))
    if expected_version and (expected_version != (found.version if found else 0) or (found and found.deleted)):
        return CONFLICT
    return asked.function(tenant, f, who)


def commit(tenant, changes):
    for kind, id_, sets in changes:
        aggregate = tenant.aggregates[(kind, id_)]
        aggregate.version += 1
        aggregate.deleted = False
        for name, value in sets.items():
            if name == "recorded":
                key, revision, counts, seconds, counted, counted_before = value
                hour = (key[0], key[3] * 1000 // HOUR_MS)
                tenant.hours[hour[0]][hour[1]] = tuple(
                    h + c - b for h, c, b in zip(tenant.hours[hour[0]][hour[1]], counted, counted_before))
                tenant.windows[key] = (revision, counts, seconds)
            elif name == "deleted":
                aggregate.deleted = value
            else:
                aggregate.state[name] = value


def due(tenant, now_ms):
    """What the clock has to say: (kind, id, changes)."""
    found = [(kind, id_, DUE[kind](tenant, id_, a.state, now_ms))
             for (kind, id_), a in tenant.aggregates.items() if kind in DUE and a.exists()]
    return [entry for entry in found if entry[2]]


DUE = {}  # kind: function(tenant, id, state, now ms) -> changes
