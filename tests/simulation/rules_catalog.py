# SPDX-License-Identifier: Apache-2.0
"""Services, runbooks and their executions, postmortems, health checks, fleet states, and agents' right to connect."""
from model import (ABSENT, ADMIN, AGENT, AHEAD_MS, APPROVER, CONFLICT, DAY_MS, DENIED, DUE, EXISTS, INPUT, INTEGRATION, PERSONS,
                   SELF, ms, rule)
from rules_incidents import CLOSED


def each_once(ids):
    return len(set(ids)) == len(ids)


# ---- services

def service_content(tenant, f):
    on = [d["service_id"] for d in f.get("dependencies", ())]
    if not each_once(on):
        return INPUT
    for id_ in on:
        if id_ == f["service_id"]:
            return INPUT
        if tenant.state("service", id_) is None:
            return ABSENT
    return {"name": f["name"], "tier": f.get("tier", 0), "on": tuple(on)}


@rule("service", "service_id", PERSONS | {INTEGRATION, SELF}, needs=("name",))
def create_service(tenant, f, who):
    if tenant.state("service", f["service_id"]) is not None:
        return EXISTS
    content = service_content(tenant, f)
    return [("service", f["service_id"], content)] if isinstance(content, dict) else content


@rule("service", "service_id", PERSONS | {INTEGRATION, SELF}, needs=("name",))
def update_service(tenant, f, who):
    state = tenant.state("service", f["service_id"])
    if state is None:
        return ABSENT
    content = service_content(tenant, f)
    if not isinstance(content, dict):
        return content
    return [] if content == state else [("service", f["service_id"], content)]


@rule("service", "service_id", {ADMIN, SELF})
def delete_service(tenant, f, who):
    if tenant.state("service", f["service_id"]) is None:
        return ABSENT
    if any(f["service_id"] in state["on"] for _, state in tenant.of("service")):
        return CONFLICT
    return [("service", f["service_id"], {"deleted": True})]


# ---- runbooks: steps are (id, kind, seconds, whether it needs approval)

MANUAL, COMMAND, LINK = 1, 2, 3
AUTOMATED = 3
SUCCEEDED, FAILED, CANCELLED, TIMED_OUT, AWAITING, RUNNING, REJECTED = range(1, 8)


def runbook_content(f):
    steps = []
    for i, step in enumerate(f.get("steps", ())):
        kind = LINK if step.get("link") else COMMAND if step.get("command") else MANUAL
        if f.get("automation_level") == AUTOMATED and kind != COMMAND:
            return INPUT
        steps.append((f"step-{i + 1}", kind, step.get("timeout_seconds") or 300, step.get("approval_required", False)))
    return {"title": f["title"], "steps": tuple(steps), "approval": f.get("approval_required", False),
            "level": f.get("automation_level") or 1}


@rule("runbook", "runbook_id", PERSONS | {INTEGRATION, SELF}, needs=("title",))
def create_runbook(tenant, f, who):
    if tenant.state("runbook", f["runbook_id"]) is not None:
        return EXISTS
    content = runbook_content(f)
    return [("runbook", f["runbook_id"], content)] if isinstance(content, dict) else content


def asks_for_approval(runbook):
    return runbook["approval"] or any(step[3] for step in runbook["steps"])


@rule("runbook", "runbook_id", PERSONS | {INTEGRATION, SELF}, needs=("title",))
def update_runbook(tenant, f, who):
    state = tenant.state("runbook", f["runbook_id"])
    if state is None:
        return ABSENT
    content = runbook_content(f)
    if not isinstance(content, dict):
        return content
    if asks_for_approval(state) and not asks_for_approval(content) and who.role not in {APPROVER, ADMIN, SELF}:
        return DENIED
    return [] if content == state else [("runbook", f["runbook_id"], content)]


EXECUTION_MOVES = {AWAITING: {RUNNING, REJECTED, CANCELLED, TIMED_OUT}, RUNNING: {SUCCEEDED, FAILED, CANCELLED, TIMED_OUT}}


def entry_of(tenant, incident_id):
    """The incident's timeline says it too."""
    return [("incident", incident_id, {})] if tenant.state("incident", incident_id) else []


def deadline(plan, now_ms):
    return now_ms + 1000 * sum(step[2] for step in plan)


@rule("runbook_execution", "execution_id", PERSONS | {SELF}, needs=("runbook_id",))
def execute_runbook(tenant, f, who):
    if tenant.state("runbook_execution", f["execution_id"]) is not None:
        return EXISTS
    runbook, incident_id = tenant.state("runbook", f["runbook_id"]), f.get("incident_id", "")
    if runbook is None:
        return ABSENT
    if not runbook["steps"]:
        return CONFLICT
    if incident_id:
        incident = tenant.state("incident", incident_id)
        if incident is None:
            return ABSENT
        if incident["status"] == CLOSED:
            return CONFLICT
    waits = asks_for_approval(runbook)
    made = {"status": AWAITING if waits else RUNNING, "plan": runbook["steps"], "by": who.actor, "incident": incident_id,
            "results": {}, "deadline": who.now_ms + DAY_MS if waits else deadline(runbook["steps"], who.now_ms)}
    return [("runbook_execution", f["execution_id"], made)] + ([] if waits else entry_of(tenant, incident_id))


def execution_move(tenant, id_, to):
    state = tenant.state("runbook_execution", id_)
    if state is None:
        return ABSENT
    return state if to in EXECUTION_MOVES.get(state["status"], ()) else CONFLICT


@rule("runbook_execution", "execution_id", {APPROVER, ADMIN, SELF})
def approve_runbook_execution(tenant, f, who):
    state = execution_move(tenant, f["execution_id"], RUNNING)
    if not isinstance(state, dict):
        return state
    if who.actor == state["by"]:
        return DENIED
    return [("runbook_execution", f["execution_id"], {"status": RUNNING, "deadline": deadline(state["plan"], who.now_ms)})] \
        + entry_of(tenant, state["incident"])


@rule("runbook_execution", "execution_id", {APPROVER, ADMIN, SELF}, needs=("reason",))
def reject_runbook_execution(tenant, f, who):
    state = execution_move(tenant, f["execution_id"], REJECTED)
    if not isinstance(state, dict):
        return state
    return [("runbook_execution", f["execution_id"], {"status": REJECTED})] + entry_of(tenant, state["incident"])


@rule("runbook_execution", "execution_id", PERSONS | {SELF})
def record_runbook_step(tenant, f, who):
    state, result = tenant.state("runbook_execution", f["execution_id"]), f["result"]
    if state is None:
        return ABSENT
    if result["status"] not in (SUCCEEDED, FAILED, CANCELLED, TIMED_OUT):
        return INPUT
    if result["step_id"] not in [step[0] for step in state["plan"]]:
        return INPUT
    said, before = (result["status"], result.get("output", "")), state["results"].get(result["step_id"])
    if before:
        return [] if before == said else CONFLICT
    if state["status"] != RUNNING:
        return CONFLICT
    return [("runbook_execution", f["execution_id"], {"results": {**state["results"], result["step_id"]: said}})]


@rule("runbook_execution", "execution_id", PERSONS | {SELF})
def complete_runbook_execution(tenant, f, who):
    if f["status"] == TIMED_OUT:
        return DENIED  # that is for the clock to say
    if f["status"] not in (SUCCEEDED, FAILED, CANCELLED):
        return INPUT
    state = execution_move(tenant, f["execution_id"], f["status"])
    if not isinstance(state, dict):
        return state
    if f["status"] == SUCCEEDED and any(state["results"].get(step[0], (0,))[0] != SUCCEEDED for step in state["plan"]):
        return CONFLICT
    return [("runbook_execution", f["execution_id"], {"status": f["status"]})] + entry_of(tenant, state["incident"])


def execution_due(tenant, id_, state, now_ms):
    if state["status"] not in EXECUTION_MOVES or state["deadline"] > now_ms:
        return []
    return [("runbook_execution", id_, {"status": TIMED_OUT})] + entry_of(tenant, state["incident"])


DUE["runbook_execution"] = execution_due

# ---- questions to agents: started, and completed once

ANSWERED, UNKNOWN, QUESTION_MS, GRACE_MS = 1, 6, 5 * 60 * 1000, 60 * 1000


@rule("diagnostics", "diagnostics_id", PERSONS | {SELF}, needs=("agent", "question", "deadline_at"))
def run_diagnostics(tenant, f, who):
    if tenant.state("diagnostics", f["diagnostics_id"]) is not None:
        return EXISTS
    if not who.now_ms < ms(f["deadline_at"]) <= who.now_ms + QUESTION_MS:
        return INPUT
    return [("diagnostics", f["diagnostics_id"], {"agent": f["agent"], "by": who.actor, "outcome": 0, "reason": "",
                                                 "deadline": ms(f["deadline_at"])})]


@rule("diagnostics", "diagnostics_id", {SELF}, needs=("outcome",))
def complete_diagnostics(tenant, f, who):
    state, said = tenant.state("diagnostics", f["diagnostics_id"]), (f["outcome"], f.get("reason", ""))
    if state is None:
        return ABSENT
    if state["outcome"]:
        return [] if f["outcome"] == UNKNOWN or said == (state["outcome"], state["reason"]) else CONFLICT
    if f["outcome"] == UNKNOWN and not said[1]:  # with a reason it is said by a start, to whom nobody waits
        return question_due(tenant, f["diagnostics_id"], state, who.now_ms) or CONFLICT
    return [("diagnostics", f["diagnostics_id"], {"outcome": f["outcome"], "reason": said[1]})]


def question_due(tenant, id_, state, now_ms):
    if state["outcome"] or state["deadline"] + GRACE_MS > now_ms:
        return []
    return [("diagnostics", id_, {"outcome": UNKNOWN, "reason": "?"})]


DUE["diagnostics"] = question_due

# ---- postmortems

DRAFT, PUBLISHED, IN_REVIEW = 1, 2, 3
TEXTS = ("title", "summary", "impact", "root_cause")


def postmortem_content(tenant, f):
    incidents = tuple(f.get("incident_ids", ()))
    if not each_once(incidents):
        return INPUT
    if any(tenant.state("incident", id_) is None for id_ in incidents):
        return ABSENT
    return {**{name: f.get(name, "") for name in TEXTS}, "incidents": incidents,
            "owners": tuple(action.get("owner", "") for action in f.get("action_items", ()))}


def revised(tenant, id_):
    state = tenant.state("postmortem", id_)
    if state is None:
        return ABSENT
    return CONFLICT if state["status"] != PUBLISHED or state["superseded_by"] else state


@rule("postmortem", "postmortem_id", PERSONS | {SELF}, needs=("title",))
def create_postmortem(tenant, f, who):
    if tenant.state("postmortem", f["postmortem_id"]) is not None:
        return EXISTS
    made = {"status": DRAFT, "revision": 1, "revises": f.get("revises", ""), "superseded_by": ""}
    if made["revises"]:
        before = revised(tenant, made["revises"])
        if not isinstance(before, dict):
            return before
        made["revision"] = before["revision"] + 1
    content = postmortem_content(tenant, f)
    return [("postmortem", f["postmortem_id"], {**made, **content})] if isinstance(content, dict) else content


@rule("postmortem", "postmortem_id", PERSONS | {SELF}, needs=("title",))
def update_postmortem(tenant, f, who):
    state = tenant.state("postmortem", f["postmortem_id"])
    if state is None:
        return ABSENT
    if state["status"] == PUBLISHED:
        return CONFLICT
    content = postmortem_content(tenant, f)
    if not isinstance(content, dict):
        return content
    return [("postmortem", f["postmortem_id"], content)] if any(state[k] != v for k, v in content.items()) else []


@rule("postmortem", "postmortem_id", PERSONS | {SELF})
def transition_postmortem_status(tenant, f, who):
    state = tenant.state("postmortem", f["postmortem_id"])
    if state is None:
        return ABSENT
    if (state["status"], f["status"]) not in ((DRAFT, IN_REVIEW), (IN_REVIEW, DRAFT), (IN_REVIEW, PUBLISHED)):
        return CONFLICT
    return INPUT if f["status"] == PUBLISHED else [("postmortem", f["postmortem_id"], {"status": f["status"]})]


@rule("postmortem", "postmortem_id", {APPROVER, ADMIN, SELF})
def publish_postmortem(tenant, f, who):
    id_, state = f["postmortem_id"], tenant.state("postmortem", f["postmortem_id"])
    if state is None:
        return ABSENT
    if state["status"] != IN_REVIEW or not all(state[name] for name in TEXTS) or not state["incidents"] or "" in state["owners"]:
        return CONFLICT
    before = revised(tenant, state["revises"]) if state["revises"] else None
    if before is not None and not isinstance(before, dict):
        return before
    changes = [("postmortem", id_, {"status": PUBLISHED})]
    return changes + [("postmortem", state["revises"], {"superseded_by": id_})] if before else changes


# ---- what is observed: the newest observation counts, whichever came last

SEEN_MS, SEEN_MOST_MS = 3600 * 1000, 30 * DAY_MS  # so long an observation says something: without a word of its sender, and at most


def said_until(f, seen, who):
    """Until when it says something; None: that is refused."""
    if "expires_at" not in f:
        return seen + SEEN_MS
    until = ms(f["expires_at"])
    return until if seen < until <= who.now_ms + SEEN_MOST_MS else None


@rule("health_check", "healthcheck_id", {AGENT, INTEGRATION, ADMIN, SELF})
def record_health_check(tenant, f, who):
    state, seen = tenant.state("health_check", f["healthcheck_id"]), ms(f["timestamp"])
    until = said_until(f, seen, who)
    if seen > who.now_ms + AHEAD_MS or until is None:
        return INPUT
    if state and (state["seen"], state["status"]) == (seen, f["status"]) and ("expires_at" not in f or state["until"] == until):
        return []
    late = state and seen < state["seen"]
    return [("health_check", f["healthcheck_id"], {} if late else {"seen": seen, "status": f["status"], "until": until})]


def fleet_id(f):
    return f["environment_id"] + ("." + f["cluster_id"] if f.get("cluster_id") else "")


@rule("fleet_state", fleet_id, {AGENT, INTEGRATION, ADMIN, SELF})
def record_fleet_state(tenant, f, who):
    id_, seen, state = fleet_id(f), ms(f["timestamp"]), tenant.state("fleet_state", fleet_id(f))
    counts = (f["total_applications"], f["healthy_count"], f["degraded_count"], f["out_of_sync_count"])
    until = said_until(f, seen, who)
    if seen > who.now_ms + AHEAD_MS or counts[0] != counts[1] + counts[2] or counts[3] > counts[0] or until is None:
        return INPUT
    if state and (state["seen"], state["counts"]) == (seen, counts) and ("expires_at" not in f or state["until"] == until):
        return []
    if state and f.get("fleetstate_id") and state["snapshot"] == f["fleetstate_id"]:
        return CONFLICT
    late = state and seen < state["seen"]
    return [("fleet_state", id_, {} if late else {"seen": seen, "counts": counts, "until": until, "snapshot": f.get("fleetstate_id")})]


# ---- agents' right to connect

OFFER_MS = 90 * DAY_MS


@rule("agent", "agent", {ADMIN, SELF}, needs=("agent", "token_hash"))
def offer_agent_enrolment(tenant, f, who):
    state, expires = tenant.state("agent", f["agent"]), ms(f["expires_at"])
    if not 0 < expires - who.now_ms <= OFFER_MS:
        return INPUT
    if state and state["token"] == f["token_hash"]:
        return []
    before = {} if state else {"key": "", "serial": "", "before": "", "from": 0, "to": 0, "revoked": False, "refusal": ("", 0)}
    return [("agent", f["agent"], {**before, "token": f["token_hash"], "expires": expires, "used_by": ""})]


@rule("agent", "agent", {SELF}, needs=("agent",))
def issue_agent_certificate(tenant, f, who):
    state, key, token = tenant.state("agent", f["agent"]), f["certificate"]["key_hash"], f.get("token_hash", "")
    renewed, given = f.get("renewed_serial", ""), {"key": key, "serial": f["certificate"]["serial"], "refusal": ("", 0),
                                                       "from": ms(f["certificate"]["not_before"]), "to": ms(f["certificate"]["not_after"])}
    if state is None:
        return ABSENT
    if bool(token) == bool(renewed):
        return INPUT
    if token:
        if state["token"] != token:
            return DENIED
        if state["expires"] <= who.now_ms:
            return CONFLICT
        if state["used_by"]:
            return [] if state["used_by"] == state["key"] == key else CONFLICT
        return [("agent", f["agent"], {**given, "before": "", "used_by": key, "revoked": False})]
    if state["revoked"] or renewed not in (state["serial"], state["before"]):
        return CONFLICT
    if state["key"] == key:
        return INPUT if renewed == state["serial"] else []
    if who.now_ms - state["from"] < (state["to"] - state["from"]) // 10:
        return CONFLICT
    return [("agent", f["agent"], {**given, "before": renewed})]


@rule("agent", "agent", {SELF}, needs=("agent", "reason"))
def refuse_agent_certificate(tenant, f, who):
    state = tenant.state("agent", f["agent"])
    if state is None:
        return ABSENT
    text, at_ms = state["refusal"]
    if at_ms and who.now_ms - at_ms < (3600 if text == f["reason"] else 60) * 1000:
        return []
    return [("agent", f["agent"], {"refusal": (f["reason"], who.now_ms)})]


@rule("agent", "agent", {ADMIN, SELF}, needs=("agent", "reason"))
def revoke_agent(tenant, f, who):
    state = tenant.state("agent", f["agent"])
    if state and state["revoked"] and not state["token"]:
        return []
    before = {} if state else {"key": "", "serial": "", "before": "", "from": 0, "to": 0, "refusal": ("", 0)}
    return [("agent", f["agent"], {**before, "token": "", "expires": 0, "used_by": "", "revoked": True})]
