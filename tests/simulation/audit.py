# SPDX-License-Identifier: Apache-2.0
"""What must hold whatever happened: the stored states against the model, and the log of facts against itself."""
import collections

import model

MESSAGES = {"incident": "Incident", "alert": "Alert", "slo": "SLO", "health_check": "HealthCheck", "runbook": "Runbook",
            "runbook_execution": "RunbookExecution", "service": "Service", "postmortem": "Postmortem", "fleet_state": "FleetState"}


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
            CHECKS.get(kind, lambda *_: None)(simulation, tenant, id_, found, aggregate.state)
        still_open = {id_ for (kind, id_), a in tenant.aggregates.items() if kind == "incident" and a.state["status"] < model.RESOLVED}
        listed = simulation.driver.open_ids(name, "incident")
        assert len(listed) == len(set(listed)) and set(listed) == still_open, f"{name}: open incidents are {sorted(listed)[:5]}..."
    simulation.counts["audits"] += 1


def incident(simulation, tenant, id_, found, state):
    assert (found.status, found.severity, found.assigned_to) == (state["status"], state["severity"], state["assigned"]), f"incident {id_}"


def health_check(simulation, tenant, id_, found, state):
    assert (found.timestamp.seconds, found.status) == (state["seen"], state["status"]), f"health check {id_}"


def slo(simulation, tenant, id_, found, state):
    # Hours roll off as time goes by; what is stored is as of the last change.
    computed_ms = found.budget.computed_at.seconds * 1000 + found.budget.computed_at.nanos // 1000000
    for window, days in zip(found.budget.windows, (7, 28, 30)):
        expected = model.budget_sums(tenant, id_, computed_ms, days)
        assert (window.good, window.total) == expected, \
            f"SLO {id_}: {days} days hold {window.good} of {window.total}, expected {expected[0]} of {expected[1]}"


CHECKS = {"incident": incident, "health_check": health_check, "slo": slo}


def facts(simulation):
    """No gap in the sequence, none in any aggregate's versions, and as many facts a message as it was to have."""
    last, versions, caused = 0, collections.defaultdict(int), collections.Counter()
    reader = simulation.messages["SreDomainFact"]
    for fact in simulation.driver.facts():
        assert fact.sequence == last + 1, f"fact {fact.sequence} follows {last}"
        last = fact.sequence
        key = (fact.tenant, fact.type, fact.id)
        assert fact.version == versions[key] + 1, f"{key}: version {fact.version} follows {versions[key]}"
        versions[key] = fact.version
        caused[reader.FromString(fact.bytes).meta.causation_id] += 1
    for name, tenant in simulation.tenants.items():
        for (kind, id_), aggregate in tenant.aggregates.items():
            assert versions.pop((name, kind, id_), 0) == aggregate.version, f"{name} {kind} {id_}"
    assert not versions, f"facts about what the model does not know: {sorted(versions)[:3]}"
    for message_id, count in simulation.committed.items():
        assert caused[message_id] == count, f"message {message_id} made {caused[message_id]} facts, expected {count}"
    simulation.counts["facts"] = last
