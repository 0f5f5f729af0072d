# SPDX-License-Identifier: Apache-2.0
"""What there is to say: intents out of few names, so that they meet, and wrong now and then. Names of what has an end drift
on with the time, so that there is always something new."""
import rules_catalog as catalog
from model import at

PEOPLE = ("anna", "ben", "petra", "root")


class Words:
    """Names and times of one moment. told: so many intents were made so far."""

    def __init__(self, chance, told, now_ms):
        self.chance, self.told, self.now_ms = chance, told, now_ms

    def name(self, kind, many, lasting=0):
        return f"{kind}-{(self.told // lasting if lasting else 0) + self.chance.randrange(many)}"

    def incident(self):
        return self.name("inc", 120, lasting=400)

    def alert(self):
        return f"{self.chance.choice(('prometheus', 'custom'))}.{self.name('f', 40, lasting=4000)}"

    def of(self, *choices):
        return self.chance.choice(choices)

    def maybe(self, share, fields):
        return fields if self.chance.random() < share else {}

    def some(self, name, many):
        return [name() for _ in range(self.chance.randrange(many + 1))]

    def ago(self, *seconds):
        return at(self.now_ms - int(self.chance.choice(seconds) * 1000))


# ---- incidents and alerts

def incident(make):
    def say(w):
        which, fields = make(w)
        return which, {"incident_id": w.incident(), **fields}
    return say


INCIDENTS = [
    incident(lambda w: ("create_incident", {"title": "t", "severity": w.of(1, 2, 3, 4), "assigned_to": w.of("", "ben")})),
    incident(lambda w: ("create_incident", {"title": w.of("t", "t", "t", ""), "severity": 1, "alert_ids": w.some(w.alert, 3)})),
    incident(lambda w: ("correlate_alerts", {"alert_ids": [w.alert()] + w.some(w.alert, 3)})),
    incident(lambda w: ("correlate_alerts", {"alert_ids": [w.alert()]})),
    incident(lambda w: ("acknowledge_incident", {})),
    incident(lambda w: ("transition_incident_status", {"status": w.of(1, 2, 3, 4, 5, 6), "reason": w.of("", "because")})),
    incident(lambda w: ("transition_incident_status", {"status": w.of(1, 2, 3, 4, 5, 6), "reason": "because"})),
    incident(lambda w: ("resolve_incident", {"resolution": "fixed"})),
    incident(lambda w: ("close_incident", {})),
    incident(lambda w: ("reclassify_incident_severity", {"severity": w.of(1, 2, 3, 4)})),
    incident(lambda w: ("assign_incident", {"assigned_to": w.of("", "anna", "ben")})),
    incident(lambda w: ("add_timeline_entry", {"text": "seen"})),
]


def ingest(w):
    fields = {"source": w.of(1, 2), "fingerprint": w.name("f", 40, lasting=4000), "name": w.of("hot", "hot", "hot", "hot", ""),
              "status": w.of(1, 1, 1, 2, 2, 3 if w.chance.random() < 0.05 else 1)}
    # Firings begin with the quarter of an hour, so that sources speak of the same one.
    quarter = 15 * 60 * 1000
    begun = w.now_ms // quarter * quarter - w.of(0, 0, 0, 1, 2, -1, -9 if w.chance.random() < 0.1 else 0) * quarter
    fields["starts_at"] = at(begun)
    fields.update(w.maybe(0.7, {"observed_at": w.ago(0, 0, 1, 30, 200, 900, -60)}))
    if fields["status"] == 2:
        fields.update(w.maybe(0.5, {"ends_at": at(begun + w.of(0, 1000, 60000, 60000, -1000, 20 * 60000))}))
    else:
        fields.update(w.maybe(0.2, {"expires_at": w.ago(-600, -3600, 50)}))
        fields.update(w.maybe(0.1, {"ends_at": w.ago(-900, 50)}))
    return "ingest_alert", fields


ALERTS = [
    ingest, ingest,
    lambda w: ("acknowledge_alert", {"alert_id": w.alert()}),
    lambda w: ("silence_alert", {"alert_id": w.alert(), "reason": w.of("works", "works", "noise", ""),
                                 "until": w.ago(-60, -300, -3600, -86400, 0, -31 * 86400)}),
    lambda w: ("unsilence_alert", {"alert_id": w.alert()}),
    lambda w: ("expire_alert", {"alert_id": w.alert(), "expires_at": w.ago(0)}),
]

# ---- SLOs

RATIO = {"good_selector": "a", "total_selector": "b"}


def slo(which):
    def say(w):
        fields = {"slo_id": w.name("slo", 22), "name": w.of(*"sssssss", ""), "target": w.of(90.0, 99.0, 99.0),
                  "window": w.of(1, 2, 3, 4, 5, 6, 7),
                  "sli_spec": {"counter_ratio": RATIO, "window_seconds": w.of(*[60] * 9, 0, 120, 300)}}
        if int(fields["slo_id"][4:]) % 4 == 0 and w.chance.random() < 0.9:
            fields.update(budgeting_method=2, time_slice_target=95.0)
        fields.update(w.maybe(0.05, {"agents": ["edge-1"]}))
        return which, fields
    return say


def window(w):
    total, seconds = w.chance.randrange(1000), w.of(*[60] * 9, 120, 300)
    start = (w.now_ms // 1000 - w.of(60, 60, 120, 3600, 86400, 8 * 86400, 29 * 86400, 31 * 86400, -3600, -240)) // seconds * seconds
    start += w.of(*[0] * 20, 7)
    return "record_sli_window", {
        "slo_id": w.name("slo", 23), "window_start": {"seconds": start}, "window_seconds": seconds, "total": total,
        "good": w.of(total, total, total, max(0, total - w.chance.randrange(1, 9)), total + 1 if w.chance.random() < 0.2 else total),
        "scrapes_expected": 4, "scrapes_seen": w.of(4, 4, 4, 3, 0, 5 if w.chance.random() < 0.1 else 4),
        "revision": w.of(1, 1, 1, 2, 3), "cluster_id": w.of("", "c1")}


def tight(make):
    """SLOs whose budget is used up by one target, and not by the other."""
    def say(w):
        which, fields = make(w)
        return which, {"slo_id": w.name("tight", 3), **fields}
    return say


TIGHT = {"name": "s", "window": 1, "sli_spec": {"counter_ratio": RATIO, "window_seconds": 60}}
SLOS_TIGHT = [
    tight(lambda w: ("create_slo", {**TIGHT, "target": 90.0})),
    tight(lambda w: ("update_slo", {**TIGHT, "target": w.of(90.0, 99.0)})),
    tight(lambda w: ("update_slo", {**TIGHT, "target": 99.0})),
    tight(lambda w: ("record_sli_window", {"window_start": {"seconds": w.now_ms // 60000 * 60 - 60}, "window_seconds": 60, "total": 100,
                                           "good": w.of(95, 95, 80), "scrapes_expected": 4, "scrapes_seen": 4, "revision": 1})),
]

SLOS = [slo("create_slo"), slo("create_slo"), slo("update_slo"), window]

# ---- the catalog


def service(which):
    def say(w):
        return which, {"service_id": w.name("svc", 12), "name": w.of(*"nnnnm", ""), "tier": w.of(1, 2),
                       "dependencies": [{"service_id": id_} for id_ in w.some(lambda: w.name("svc", 12), 2)]}
    return say


STEPS = ({}, {"command": "restart"}, {"command": "restart"}, {"link": "https://wiki/r"}, {"timeout_seconds": 60},
         {"command": "drain", "approval_required": True})


def runbook(which):
    def say(w):
        return which, {"runbook_id": w.name("rb", 12), "title": w.of(*"ttttu", ""), "automation_level": w.of(0, 1, 2, 3),
                       "approval_required": w.of(False, False, True),
                       "steps": [{"title": "do", **w.of(*STEPS)} for _ in range(w.chance.randrange(4))]}
    return say


def execution(make):
    def say(w):
        which, fields = make(w)
        return which, {"execution_id": w.name("ex", 12, lasting=600), **fields}
    return say


def postmortem(which):
    def say(w):
        fields = {"postmortem_id": w.name("pm", 9, lasting=1500), "title": w.of(*"ttttt", ""),
                  "incident_ids": w.some(w.incident, 2), "summary": w.of("s", "s", "s", ""), "impact": "i", "root_cause": "r",
                  "action_items": [{"title": "a", "owner": w.of("ben", "ben", "")} for _ in range(w.of(0, 0, 1))]}
        if which == "create_postmortem":
            fields.update(w.maybe(0.4, {"revises": w.name("pm", 9, lasting=1500)}))
        return which, fields
    return say


def until(w):
    return w.maybe(0.3, {"expires_at": w.ago(-900, -900, -3600, -86400, -29 * 86400, -31 * 86400, 300)})


def health(w):
    return "record_health_check", {"healthcheck_id": w.name("check", 60), "resource_ref": {"type": "pod", "id": "p"}, "source": 2,
                                   "timestamp": w.ago(0, 0, 1, 5, 600, -1, -1000), "status": w.of(1, 2, 3, 4), **until(w)}


def fleet(w):
    healthy, degraded = w.chance.randrange(3), w.chance.randrange(3)
    return "record_fleet_state", {
        "environment_id": w.of("prod", "test"), "cluster_id": w.of("", "eu"), "timestamp": w.ago(0, 0, 1, 60, -1, -1000),
        "total_applications": healthy + degraded + w.of(0, 0, 0, 0, 1), "healthy_count": healthy, "degraded_count": degraded,
        "out_of_sync_count": w.of(0, 0, 0, 2), **w.maybe(0.3, {"fleetstate_id": w.name("snap", 3)}), **until(w)}


CATALOG = [
    service("create_service"), service("update_service"), lambda w: ("delete_service", {"service_id": w.name("svc", 12)}),
    runbook("create_runbook"), runbook("update_runbook"),
    health, fleet,
]
EXECUTIONS = [
    execution(lambda w: ("execute_runbook", {"runbook_id": w.name("rb", 13), **w.maybe(0.4, {"incident_id": w.incident()})})),
    execution(lambda w: ("execute_runbook", {"runbook_id": w.name("rb", 13)})),
    execution(lambda w: ("approve_runbook_execution", {})),
    execution(lambda w: ("reject_runbook_execution", {"reason": w.of("no", "")})),
    execution(lambda w: ("record_runbook_step", {"result": {"step_id": w.name("step", 4), "output": w.of("", "", "o"),
                                                            "status": w.of(*[catalog.SUCCEEDED] * 5, 2, 6)}})),
    execution(lambda w: ("record_runbook_step", {"result": {"step_id": w.of("step-1", "step-2"), "status": catalog.SUCCEEDED}})),
    execution(lambda w: ("complete_runbook_execution", {"status": w.of(1, 1, 1, 2, 3, 4, 6, 7)})),
]
POSTMORTEMS = [
    postmortem("create_postmortem"), postmortem("create_postmortem"), postmortem("update_postmortem"),
    lambda w: ("transition_postmortem_status", {"postmortem_id": w.name("pm", 9, lasting=1500), "status": w.of(1, 2, 3, 3)}),
    lambda w: ("publish_postmortem", {"postmortem_id": w.name("pm", 9, lasting=1500)}),
]



def agent(make):
    def say(w):
        which, fields = make(w)
        return which, {"agent": w.name("edge", 6), **fields}
    return say


def digest(w):
    return w.of(*"0123456789") * 64


def certificate(w):
    return {"serial": w.of(*"0123456789ab"), "key_hash": digest(w), "not_before": w.ago(0, 300), "not_after": w.ago(-90 * 86400, -60), "pem": "p"}


QUESTION = {"verb": 3, "kind": "pod", "namespace": "shop", "name": "api-0"}
QUESTIONS = [
    lambda w: ("run_diagnostics", {"diagnostics_id": w.name("ask", 5, lasting=60), "agent": w.of("edge-1", "edge-1", "edge-1", ""),
                                   "question": QUESTION, "deadline_at": w.ago(-1, -30, -300, -301, 0)}),
    lambda w: ("complete_diagnostics", {"diagnostics_id": w.name("ask", 5, lasting=60), "outcome": w.of(0, 1, 2, 2, 6),
                                        "reason": w.of("", "no")}),
]
AGENTS = [
    agent(lambda w: ("offer_agent_enrolment", {"token_hash": digest(w), "expires_at": w.ago(-3600, -3600, -86400, 1, -91 * 86400)})),
    agent(lambda w: ("issue_agent_certificate", {"token_hash": digest(w), "certificate": certificate(w)})),
    agent(lambda w: ("issue_agent_certificate", {"renewed_serial": w.of(*"0123456789ab"), "certificate": certificate(w)})),
    agent(lambda w: ("refuse_agent_certificate", {"reason": w.of("used", "expired", "")})),
    agent(lambda w: ("revoke_agent", {"reason": w.of("stolen", "stolen", "")})),
]
OWN = ("issue_agent_certificate", "refuse_agent_certificate", "complete_diagnostics")  # nobody else may say these: mostly the aggregator does

PARTS = (INCIDENTS, INCIDENTS, ALERTS, ALERTS, SLOS, SLOS_TIGHT, CATALOG, EXECUTIONS, POSTMORTEMS, AGENTS, QUESTIONS)


def of_a_caller(w):
    return w.chance.choice(w.chance.choice(PARTS))(w)


def of_an_agent(w):
    roll = w.chance.random()
    return (health if roll < 0.25 else ingest if roll < 0.4 else CATALOG[0] if roll < 0.41 else window)(w)
