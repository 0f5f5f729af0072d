# SPDX-License-Identifier: Apache-2.0
"""SLOs, their windows and what is left of their budgets."""
import datetime

from model import (ABSENT, AGENT, AHEAD_MS, CONFLICT, DAY_MS, EXISTS, HOUR_MS, INPUT, INTEGRATION, PERSONS, SELF, rule)

DAYS = {1: 7, 2: 28, 3: 30}
WEEK, MONTH, QUARTER, YEAR = 4, 5, 6, 7
SLICES = 2


def period(window, now_ms):
    """(first hour, first hour behind it) of the calendar's week, month, quarter or year, in UTC"""
    day = datetime.datetime.fromtimestamp(now_ms // 1000, datetime.timezone.utc).date()
    if window == WEEK:
        first = day - datetime.timedelta(days=day.weekday())
        behind = first + datetime.timedelta(days=7)
    else:
        months = {MONTH: 1, QUARTER: 3, YEAR: 12}[window]
        first = day.replace(month=(day.month - 1) // months * months + 1, day=1)
        total = first.month - 1 + months
        behind = datetime.date(first.year + total // 12, total % 12 + 1, 1)
    return tuple((d - datetime.date(1970, 1, 1)).days * 24 for d in (first, behind))


def counts(tenant, slo_id, window, now_ms, more=None):
    """(good, total, expected, seen) over it, of the latest revision of each window; more: (hour, counts) not committed yet"""
    if window in DAYS:  # a window of the next hour, by a clock that is ahead, moves the budget on a little early
        newest = max(now_ms // HOUR_MS, max(tenant.hours[slo_id], default=0), more[0] if more else 0)
        first, behind = newest - DAYS[window] * 24 + 1, float("inf")
    else:
        first, behind = period(window, now_ms)
    found = [c for hour, c in tenant.hours[slo_id].items() if first <= hour < behind]
    if more and first <= more[0] < behind:
        found.append(more[1])
    return tuple(map(sum, zip(*found))) if found else (0, 0, 0, 0)


def spent(state, sums):
    good, total = sums[:2]
    return total > good and (total - good) * 100 >= total * (100 - state["target"])


def said(tenant, slo_id, state, now_ms, more=None):
    """Whether it counts as said that the budget is used up: once a period, or until a rolling budget has come back."""
    if not state["exhausted"]:
        return False
    if state["window"] in DAYS:
        return spent(state, counts(tenant, slo_id, state["window"], now_ms, more))
    return state["exhausted_at"] // HOUR_MS >= period(state["window"], now_ms)[0]


def definition(f):
    method, target = f.get("budgeting_method", 0), f.get("time_slice_target", 0)
    if (method == SLICES) != bool(target):
        return INPUT
    return {"target": f["target"], "window": f["window"], "slices": target, "seconds": f["sli_spec"].get("window_seconds") or 60,
            "agents": tuple(f.get("agents", ()))}


@rule("slo", "slo_id", PERSONS | {INTEGRATION, SELF}, needs=("name",))
def create_slo(tenant, f, who):
    if tenant.state("slo", f["slo_id"]) is not None:
        return EXISTS
    made = definition(f)
    if made is INPUT:
        return INPUT
    return [("slo", f["slo_id"], {**made, "exhausted": False, "exhausted_at": 0, "lengths": {}, "agents_changed": None})]


@rule("slo", "slo_id", PERSONS | {INTEGRATION, SELF}, needs=("name",))
def update_slo(tenant, f, who):
    id_, state = f["slo_id"], tenant.state("slo", f["slo_id"])
    if state is None:
        return ABSENT
    made = definition(f)
    if made is INPUT or made["slices"] != state["slices"]:
        return INPUT
    if all(state[name] == value for name, value in made.items()):
        return []
    lengths = dict(state["lengths"])
    if made["seconds"] != state["seconds"]:
        if made["seconds"] % state["seconds"] and state["seconds"] % made["seconds"]:
            return INPUT
        if sum(s != state["seconds"] and who.now_ms - until <= 31 * DAY_MS for s, until in lengths.items()) >= 4:
            return CONFLICT
        lengths[state["seconds"]] = who.now_ms
        while len(lengths) > 4:
            del lengths[min(lengths, key=lengths.get)]
    if all(state[name] == value for name, value in made.items()):
        return []  # the same again
    sets = {**made, "lengths": lengths}
    if made["agents"] != state["agents"]:
        sets["agents_changed"] = who.now_ms
    after = {**state, **sets}
    if not (said(tenant, id_, state, who.now_ms) and spent(state, counts(tenant, id_, state["window"], who.now_ms))):
        after["exhausted"] = False
    is_ = spent(after, counts(tenant, id_, made["window"], who.now_ms))
    again = is_ and not said(tenant, id_, after, who.now_ms)
    sets["exhausted"] = is_ and said(tenant, id_, after, who.now_ms)
    changes = [("slo", id_, sets)]
    return changes + [("slo", id_, {"exhausted": True, "exhausted_at": who.now_ms})] if again else changes


@rule("slo", "slo_id", {AGENT, INTEGRATION, SELF})
def record_sli_window(tenant, f, who):
    id_, state, seconds = f["slo_id"], tenant.state("slo", f["slo_id"]), f["window_seconds"]
    if state is None:
        return ABSENT
    start, cluster = f["window_start"]["seconds"], f.get("cluster_id", "")
    if start % seconds or f["good"] > f["total"] or f["scrapes_seen"] > f["scrapes_expected"]:
        return INPUT
    if start * 1000 > who.now_ms + AHEAD_MS or start * 1000 // HOUR_MS <= who.now_ms // HOUR_MS - 30 * 24:
        return INPUT
    key = (id_, who.actor, cluster, start)
    revision, before, length = tenant.windows.get(key, (0, None, seconds))
    if length != seconds:
        return CONFLICT
    if not revision:
        known = [state["seconds"]] + [s for s, until in state["lengths"].items() if who.now_ms - until <= 31 * DAY_MS]
        if seconds not in known:
            return INPUT
        for other in known:
            if other != seconds and any(tenant.windows.get((id_, who.actor, cluster, s), (0, 0, 0))[2] == other
                                        for s in range(start // other * other, start + seconds, other)):
                return CONFLICT
        if state["agents"] and who.actor not in state["agents"]:
            if state["agents_changed"] is None or start * 1000 >= state["agents_changed"] + AHEAD_MS:
                return CONFLICT
    measured = (f["good"], f["total"], f["scrapes_expected"], f["scrapes_seen"])
    knows = f["total"] or f["scrapes_seen"]
    if revision and f["revision"] == revision and measured != before and knows and f["scrapes_seen"] >= before[3]:
        return CONFLICT
    if f["revision"] <= revision:
        return []
    counted, counted_before = counted_as(state, measured), counted_as(state, before) if before else (0, 0, 0, 0)
    more = (start * 1000 // HOUR_MS, tuple(c - b for c, b in zip(counted, counted_before)))
    is_ = spent(state, counts(tenant, id_, state["window"], who.now_ms, more))
    changes = [("slo", id_, {"recorded": (key, f["revision"], measured, seconds, counted, counted_before),
                             "exhausted": said(tenant, id_, state, who.now_ms, more)})]
    if is_ and not said(tenant, id_, state, who.now_ms):
        changes.append(("slo", id_, {"exhausted": True, "exhausted_at": who.now_ms}))
    return changes


def counted_as(state, measured):
    if not state["slices"]:
        return measured
    good, total = measured[:2]
    return (int(total > 0 and good * 100 >= total * state["slices"]), int(total > 0)) + measured[2:]
