# SPDX-License-Identifier: Apache-2.0
"""What must hold whatever happened: the stored states against the model, and the log of facts against itself."""
import collections
import itertools

import model
import rules_catalog
import rules_incidents
import rules_slos

MESSAGES = {"incident": "Incident", "alert": "Alert", "slo": "SLO", "health_check": "HealthCheck", "runbook": "Runbook",
            "runbook_execution": "RunbookExecution", "service": "Service", "postmortem": "Postmortem", "fleet_state": "FleetState",
            "agent": "AgentIdentity", "diagnostics": "DiagnosticsRun"}

REJECTIONS_READ, REJECTIONS_KEPT = 20000, 100000


def stored(simulation, tenant, kind, id_):
    data = simulation.driver.get(tenant, kind, id_)
    return simulation.messages[MESSAGES[kind]].FromString(data) if data else None


def states(simulation):
    for name, tenant in simulation.tenants.items():
        for (kind, id_), aggregate in tenant.aggregates.items():
            found = stored(simulation, name, kind, id_)
            assert (found is not None) == aggregate.exists(), f"{name} {kind} {id_}: {'is' if found else 'is not'} stored"
            if found is None:
                continue
            assert found.version == aggregate.version, \
                f"{name} {kind} {id_}: stored at version {found.version}, expected {aggregate.version}"
            for is_, expected in CHECKS[kind](simulation, tenant, id_, found, aggregate.state):
                assert is_ == expected, f"{name} {kind} {id_}: stored is {is_}, expected {expected}"
        for kind, is_open in OPEN.items():
            expected = {id_ for id_, state in tenant.of(kind) if is_open(state)}
            listed = simulation.driver.open_ids(name, kind)
            assert len(listed) == len(set(listed)) and set(listed) == expected, \
                f"{name}: open {kind}s differ in {sorted(set(listed) ^ expected)[:5]}"
    simulation.counts["audits"] += 1


def time_ms(message, field):
    return model.ms({"seconds": getattr(message, field).seconds, "nanos": getattr(message, field).nanos}) if message.HasField(field) else None


def incident(simulation, tenant, id_, found, state):
    yield (found.status, found.severity, found.assigned_to), (state["status"], state["severity"], state["assigned"])
    yield tuple(found.alert_ids), state["alerts"]


def alert(simulation, tenant, id_, found, state):
    yield found.status, state["status"]
    for field in ("starts_at", "observed_at", "ends_at", "expires_at"):
        yield time_ms(found, field), state[field[:-3]]
    yield (found.incident_id, found.acknowledged_by), (state["incident"], state["acknowledged_by"])
    yield found.HasField("silenced_until") and (time_ms(found, "silenced_until"), found.silence_reason) or None, state["silence"]
    yield (found.occurrences, bool(found.end_reason)), (state["occurrences"], state["expired"])
    if state["incident"]:  # both sides were tied in one transaction
        yield id_ in tenant.state("incident", state["incident"])["alerts"], True


def health_check(simulation, tenant, id_, found, state):
    yield (time_ms(found, "timestamp"), found.status, time_ms(found, "expires_at")), (state["seen"], state["status"], state["until"])


def slo(simulation, tenant, id_, found, state):
    # Hours roll off as time goes by; what is stored is as of the last change.
    now_ms = time_ms(found.budget, "computed_at")
    for window, days in zip(found.budget.windows, (1, 2, 3)):
        yield (window.good, window.total, window.scrapes_expected, window.scrapes_seen), rules_slos.counts(tenant, id_, days, now_ms)
    own, budget = rules_slos.counts(tenant, id_, state["window"], now_ms), found.budget
    yield (budget.good, budget.total, budget.scrapes_expected, budget.scrapes_seen), own
    yield budget.exhausted, rules_slos.said(tenant, id_, state, now_ms) and rules_slos.spent(state, own)
    yield (found.target, found.window, found.time_slice_target), (state["target"], state["window"], state["slices"])


def service(simulation, tenant, id_, found, state):
    yield {"name": found.name, "tier": found.tier, "on": tuple(d.service_id for d in found.dependencies)}, state
    for other in state["on"]:  # nothing depends on what is not there
        yield tenant.state("service", other) is not None, True


def runbook(simulation, tenant, id_, found, state):
    steps = tuple((s.step_id, s.kind, s.timeout_seconds, s.approval_required) for s in found.steps)
    yield {"title": found.title, "steps": steps, "approval": found.approval_required, "level": found.automation_level}, state


def runbook_execution(simulation, tenant, id_, found, state):
    yield (found.status, found.requested_by, found.incident_id), (state["status"], state["by"], state["incident"])
    yield tuple((s.step_id, s.kind, s.timeout_seconds, s.approval_required) for s in found.plan), state["plan"]
    yield {s.step_id: (s.status, s.output) for s in found.steps}, state["results"]
    yield time_ms(found, "deadline_at"), state["deadline"]


def postmortem(simulation, tenant, id_, found, state):
    yield {"status": found.status, "revision": found.revision, "revises": found.revises, "superseded_by": found.superseded_by,
           "title": found.title, "summary": found.summary, "impact": found.impact, "root_cause": found.root_cause,
           "incidents": tuple(found.incident_ids), "owners": tuple(a.owner for a in found.action_items)}, state


def fleet_state(simulation, tenant, id_, found, state):
    counts = (found.total_applications, found.healthy_count, found.degraded_count, found.out_of_sync_count)
    yield (time_ms(found, "timestamp"), counts, time_ms(found, "expires_at")), (state["seen"], state["counts"], state["until"])


def agent(simulation, tenant, id_, found, state):
    yield (found.enrolment.token_hash, found.enrolment.used_by), (state["token"], state["used_by"])
    yield (found.certificate.serial, found.certificate.key_hash, found.renewed_serial), (state["serial"], state["key"], state["before"])
    yield (found.revoked, found.refusal), (state["revoked"], state["refusal"][0])


def diagnostics(simulation, tenant, id_, found, state):
    yield (found.agent, found.requested_by, found.outcome), (state["agent"], state["by"], state["outcome"])
    yield time_ms(found, "deadline_at"), state["deadline"]


CHECKS = {check.__name__: check for check in (incident, alert, health_check, slo, service, runbook, runbook_execution, postmortem,
                                              fleet_state, agent, diagnostics)}
OPEN = {"incident": lambda s: s["status"] < rules_incidents.RESOLVED, "alert": lambda s: s["status"] != rules_incidents.ENDED,
        "runbook_execution": lambda s: s["status"] in rules_catalog.EXECUTION_MOVES, "diagnostics": lambda s: not s["outcome"]}


class Reader:
    """A consumer of the log: what it has read once must stay so, but for what is compacted, which must be stated."""

    def __init__(self, simulation):
        self.simulation = simulation
        self.read_facts = [None]  # by sequence: (tenant, fact number, hash of the bytes)
        self.versions, self.caused = collections.defaultdict(int), collections.Counter()

    def read(self):
        decode = self.simulation.messages["SreDomainFact"].FromString
        for fact in self.simulation.driver.facts(len(self.read_facts) - 1):
            assert not fact.compacted, f"facts up to {fact.sequence} were compacted before they were read"
            assert fact.sequence == fact.first == len(self.read_facts), f"fact {fact.sequence} follows {len(self.read_facts) - 1}"
            key = (fact.tenant, fact.type, fact.id)
            assert fact.version == self.versions[key] + 1, f"{key}: version {fact.version} follows {self.versions[key]}"
            self.versions[key] = fact.version
            self.caused[decode(fact.bytes).meta.causation_id] += 1
            self.read_facts.append((fact.tenant, fact.number, hash(fact.bytes)))
        self.simulation.driver.taken(len(self.read_facts) - 1)

    def read_again(self):
        """From the first on."""
        last, compacted = 0, 0
        for fact in self.simulation.driver.facts():
            assert fact.first == last + 1, f"fact {fact.first} follows {last}"
            last = fact.sequence
            if fact.compacted:
                went = collections.Counter(entry[:2] for entry in self.read_facts[fact.first:last + 1])
                stated = self.simulation.driver.range(fact)
                assert stated == went, f"the range {fact.first}..{last} states {stated}, gone are {dict(went)}"
                compacted += last + 1 - fact.first
            else:
                found = (fact.tenant, fact.number, hash(fact.bytes))
                assert found == self.read_facts[last], f"fact {last} is not what it was"
        assert last == len(self.read_facts) - 1, f"facts behind {last} are gone"
        self.simulation.counts["facts"], self.simulation.counts["compacted"] = last, compacted


def facts(simulation):
    """As many facts an aggregate and a message as it was to have."""
    versions = dict(simulation.reader.versions)
    for name, tenant in simulation.tenants.items():
        for (kind, id_), aggregate in tenant.aggregates.items():
            assert versions.pop((name, kind, id_), 0) == aggregate.version, f"{name} {kind} {id_}"
    assert not versions, f"facts about what the model does not know: {sorted(versions)[:3]}"
    for message_id, count in simulation.facts_of.items():
        caused = simulation.reader.caused[message_id]
        assert caused == count, f"message {message_id} made {caused} facts, expected {count}"


def rejections(simulation):
    """Each refusal is in the list once, with who, why, and whether it was tried again with success."""
    expected = {name: [] for name in simulation.tenants}
    oldest = max(0, len(simulation.rejections) - REJECTIONS_KEPT)
    for i, entry in enumerate(simulation.rejections[oldest:], oldest):
        expected[entry.tenant].append((i + 1, entry.code, entry.producer, bool(entry.replayed_by), entry.replayed_by))
    for name in simulation.tenants:
        found = [(r.sequence, r.code, r.producer, r.replayed, r.replayed_by)
                 for r in itertools.islice(simulation.driver.rejections(name), REJECTIONS_READ)]
        newest = expected[name][:-REJECTIONS_READ - 1:-1]
        for is_, should in itertools.zip_longest(found, newest):
            assert is_ == should, f"{name}: the rejections list has {is_}, expected {should}"
    simulation.counts["rejections"] = len(simulation.rejections)


def all_of_it(simulation):
    states(simulation)
    simulation.reader.read()
    facts(simulation)
    simulation.reader.read_again()
    rejections(simulation)
    wrong = simulation.driver.verify()
    assert not wrong, f"verify: {wrong}"
    simulation.reader.read_again()
