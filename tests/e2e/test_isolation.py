# SPDX-License-Identifier: Apache-2.0
"""No tenant sees, changes or guesses at another's: every method and every id in its request, from the server's own table.

The owner tells the story of tests/clients/examples.json. Then two strangers, alike to the letter, do the same things in step:
one with the owner's ids, one with ids that nobody has. Whatever differs between their answers tells of the owner. What the
owner has is compared before and after, and its words, which stand in all its texts, may be in no answer to others."""
import json
import re
import time
import uuid

import pytest

from harness import ApiError, Place, aggregator_settings, eventually
from story import ID_NAMES, Schemas, examples, fill, missing, pick, substitute
from test_aggregator_api import Stream
from test_bad_input import field

# Ids of one length and one order: the owner's and nobody's stand together before the strangers' own.
OWNER, STRANGER, CONTROL, NAMESAKE = "isolation.owner", "isolation.stranger", "isolation.control0", "isolation.namesake"
OWNERS_ID, NOBODYS_ID, STRANGERS_ID = "m5-quartz-", "m4-nobody-", "t8-basalt-"
OWNERS_TEXT = "words-of-the-owner"
TENANTS = [(OWNER, OWNERS_ID, OWNERS_TEXT), (STRANGER, STRANGERS_ID, "words"), (CONTROL, STRANGERS_ID, "words"), (NAMESAKE, OWNERS_ID, "words")]
ROLES = ["viewer", "responder", "approver", "admin", "agent", "integration"]
# What changes by itself: times of computing, positions in the journal that all tenants share.
BY_ITSELF = {"sequence", "lastSequence", "newestSequence", "firstSequence", "afterSequence", "computedAt", "rejectionId", "messageId", "causationId", "correlationId",
             "payload", "stream", "streamSequence", "token", "configRevision"}
# A tenant makes these identities itself: by the fingerprint of another's alert it has an alert of its own.
OWN_BY_NATURE = {"fingerprint"}


class Tenant:
    """One tenant's tokens and what it was told, by JSON over HTTP."""

    def __init__(self, place, schemas, name, own_id, text):
        self.place, self.schemas, self.name = place, schemas, name
        self.words = {"id": own_id, "text": text, "agent": f"{own_id}agent", "now": int(time.time())}
        self.tokens = {}
        self.answers = []  # texts of all answers
        self.ids = {}  # by the field's name: the ids that were seen there

    def call(self, method, request):
        """("accepted", answer) or (code, sentence)."""
        row = self.schemas.methods[method]
        try:
            said = ("accepted", self.place.call(row["path"], request, token=self.tokens[row["role"]]))
        except ApiError as refused:
            said = (refused.code, refused.message)
        self.answers.append((method, request, json.dumps(said)))
        return said

    def send(self, intent, role="admin"):
        """POST /v1/intents."""
        try:
            said = ("accepted", self.place.call("v1/intents", intent, token=self.tokens[role]))
        except ApiError as refused:
            said = (refused.code, refused.message)
        self.answers.append(("/v1/intents", intent, json.dumps(said)))
        return said

    def note_ids(self, value, name=""):
        if isinstance(value, dict):
            for key, one in value.items():
                self.note_ids(one, key)
        elif isinstance(value, list):
            for one in value:
                self.note_ids(one, name)
        elif isinstance(value, str) and ID_NAMES.search(name) and not (value.isdigit() and name == "agents") and (self.words["id"] in value or value in self.words.values()):
            self.ids.setdefault(re.sub(r"s$", "", name), set()).add(value)

    def tell(self, step, counts=True):
        """Does the step as examples.json says; its answer. Projections are moments behind. Without counts: the tenant has
        more than the story."""
        expected = step["answer"] if counts else uncounted(step["answer"])
        request = fill(step["request"], self.words)
        for earlier in step.get("before", []):
            self.call(earlier["method"], {"command": fill(earlier["command"], self.words)})

        def done():
            code, answer = self.call(step["method"], request)
            if code == "accepted":
                for name, where in step.get("keep", {}).items():
                    self.words[name] = pick(answer, where)
                code = missing(fill(expected, self.words), answer)
            if code in (None, "accepted"):
                return answer
            if not self.schemas.methods[step["method"]]["get"]:
                pytest.fail(f"{self.name}: {step['method']}: {code} {answer}")
            raise AssertionError(f"{code}: {answer}")
        answer = eventually(f"{self.name}: {step['method']}", lambda: [done()])[0]
        self.note_ids(request)
        self.note_ids(answer)
        return answer


def uncounted(expected):
    if isinstance(expected, list):
        return [uncounted(one) for one in expected]
    if isinstance(expected, dict):
        return {key: uncounted(one) for key, one in expected.items()}
    return "*" if isinstance(expected, int) or str(expected).isdigit() else expected


def changed_ids(tenant, to):
    """The owner's ids and names for them by which nobody has anything: of the same length, in the same order."""
    table = {}
    for ids in tenant.ids.values():
        for one in ids:
            other = one.replace(OWNERS_ID, to)
            if other == one:  # made from others, such as an alert's
                other = str(999000000 + int(one)) if one.isdigit() else one.translate(str.maketrans("0123456789abcdef", "1032547698badcfe"))
            table[one] = other
    return table


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    made = Place(tmp_path_factory.mktemp("isolation"))
    settings = aggregator_settings(made)
    settings["limits"] = {"requests_per_second": 0, "machine_requests_per_second": 0}
    made.write_yaml("aggregator.yaml", settings)
    made.tokens_of = {name: {role: made.make_token(f"{own_id}{role}", role, tenant=name) for role in ROLES} for name, own_id, _ in TENANTS}
    made.start()
    yield made
    made.close()


@pytest.fixture(scope="module")
def schemas(place):
    return Schemas(json.loads(place.get("/openapi.json")[1]))


# Wait for an agent that runs, and there is none here; tests/e2e/test_diagnose.py keeps tenants apart for them.
ASK_AN_AGENT = {"AgentService/RunDiagnostics"}


@pytest.fixture(scope="module")
def story(schemas):
    told = examples()
    left_out = set(told["unserved"]) | set(told["strangers"]) | set(told["coming"]) | ASK_AN_AGENT
    steps = [step for step in told["steps"] if step["method"] not in left_out]
    forgotten = set(schemas.methods) - left_out - {step["method"] for step in steps}
    assert not forgotten, f"tests/clients/examples.json has no step for {', '.join(sorted(forgotten))}: nobody knows whether these keep tenants apart"
    return steps


@pytest.fixture(scope="module")
def tenants(place, schemas, story):
    """All of them, with the owner's story told, and an agent of each known."""
    made = {name: Tenant(place, schemas, name, own_id, text) for name, own_id, text in TENANTS}
    now = int(time.time())
    for one in made.values():
        one.words["now"], one.tokens = now, place.tokens_of[one.name]
        agent = one.words["agent"]
        place.certify(place.pki, "client", f"{one.name}-agent", f"{one.name}/{agent}")
        status = field(1, one.name) + field(2, agent) + field(3, 1) + field(4, field(1, now)) + field(8, f"{one.words['id']}cluster")
        code, said = place.publish(f"{one.name}-agent", f"sre.edge.status.v1/{one.name}/{agent}", status)
        assert code == 0, said
    owner = made[OWNER]
    owner.windows = owner_windows(owner)
    owner.stream = Stream(place, after=0, token=owner.tokens["viewer"])
    for step in story:
        answer = owner.tell(step)
        step["creates"] = answer.get("outcome", {}).get("aggregateVersion") == "1"
        if step["method"] == "SLOService/UpdateSLO":
            assert [owner.send(one, "integration")[0] for one in owner.windows] == ["accepted"] * len(owner.windows)
    owner.before = what_stands(owner, story)
    assert OWNERS_TEXT in json.dumps(owner.before)
    yield made
    owner.stream.close()


def owner_windows(tenant):
    start = (tenant.words["now"] - 1800) // 60 * 60
    return [{"meta": {"messageId": str(uuid.uuid4())}, "recordSliWindow": {
        "sloId": tenant.words["id"] + "slo", "clusterId": tenant.words["id"] + "cluster", "windowStart": fill("{now}", {"now": start + 60 * i}),
        "windowSeconds": 60, "good": "9", "total": "10", "scrapesExpected": "4", "scrapesSeen": "4", "revision": "1"}} for i in range(3)]


def all_facts(tenant):
    facts, after = [], 0
    while True:
        answer = tenant.call("FactService/ListFacts", {"afterSequence": str(after), "limit": 1000})[1]
        facts += answer.get("facts", [])
        after = int(answer["lastSequence"])
        if after >= int(answer["newestSequence"]):
            return facts


def without(value, names):
    if isinstance(value, list):
        return [without(one, names) for one in value]
    if isinstance(value, dict):
        return {key: without(one, names) for key, one in value.items() if key not in names}
    return value


def what_stands(tenant, story):
    """Every answer that a tenant can have about itself, all its facts and refusals, without what time alone changes."""
    stands = [(step["method"], fill(step["request"], tenant.words)) for step in story if tenant.schemas.methods[step["method"]]["get"]]
    answers = [(method, request, without(list(tenant.call(method, request)), {"computedAt", "newestSequence", "lastSequence"})) for method, request in stands]
    rejections = tenant.call("RejectionService/ListRejections", {"pageSize": 1000, "includeReplayed": True})
    return [answers, all_facts(tenant), rejections]


def alike(said, table):
    """An answer with the other's ids all called the same, and without times, uuids and what all tenants share."""
    code, answer = said
    text = json.dumps(without(answer, BY_ITSELF), sort_keys=True)
    for one in sorted((one for one in table if not one.isdigit()), key=len, reverse=True):
        text = text.replace(one, "#")
    for pattern in (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", r"\d{4}-\d\d-\d\dT[0-9:.]+Z", rf"{STRANGER}|{CONTROL}",
                    r"\brejection \d+"):
        text = re.sub(pattern, "~", text)
    return code, text


class Pair:
    """The stranger, who has the owner's ids, and the control, who has nobody's; they do the same."""

    def __init__(self, tenants):
        self.stranger, self.control, owner = tenants[STRANGER], tenants[CONTROL], tenants[OWNER]
        self.table = changed_ids(owner, NOBODYS_ID)
        self.names = set(self.table) | set(self.table.values())
        self.said = {}

    def compare(self, what, ours, theirs):
        one, other = alike(ours, self.names), alike(theirs, self.names)
        assert one == other, f"{what} tells of another tenant:\n  with its id:      {ours}\n  with nobody's id: {theirs}"
        self.said.setdefault(ours[0], []).append(what)

    def call(self, method, request, controls=None):
        """The request holds ids of the owner's (or the control has one of its own). What is read is moments behind, and so tried until it is the same."""
        end = time.monotonic() + (10 if self.stranger.schemas.methods[method]["get"] else 0)
        while True:
            said = self.stranger.call(method, request), self.control.call(method, controls or substitute(request, self.table))
            if time.monotonic() >= end or alike(said[0], self.names) == alike(said[1], self.names):
                return self.compare(f"{method} {json.dumps(request)}", *said)
            time.sleep(0.05)

    def send(self, intent):
        messages = [dict(intent, meta=dict(intent.get("meta", {}), messageId=str(uuid.uuid4()))) for _ in range(2)]
        self.compare(f"/v1/intents {json.dumps(intent)}", self.stranger.send(messages[0]), self.control.send(substitute(messages[1], self.table)))


@pytest.fixture(scope="module")
def pair(tenants):
    return Pair(tenants)


def intent_of(schemas, method):
    """The field of SreDomainIntent that holds this method's command."""
    command = schemas.resolve(schemas.methods[method]["request"])["properties"]["command"]
    properties = schemas.schemas["ameide_core_proto.sre.core.v1.SreDomainIntent"]["properties"]
    return next(name for name, one in properties.items() if one.get("$ref") == command["$ref"])


def test_the_judge_finds_a_difference_and_nothing_else(pair):
    owners = next(one for one in pair.table if one.endswith("-slo"))
    nobodys = pair.table[owners]
    pair.compare("alike", ("not_found", f"no '{owners}' at 2026-11-21T05:01:57.605Z"), ("not_found", f"no '{nobodys}' at 2026-11-21T05:01:58Z"))
    for ours in (("permission_denied", f"no '{nobodys}'"), ("not_found", f"no '{owners}', but elsewhere"), ("accepted", {"slo": {"name": "x"}})):
        with pytest.raises(AssertionError, match="tells of another tenant"):
            pair.compare("not alike", ours, ("not_found", f"no '{nobodys}'"))
    pair.said.clear()


def test_every_method_with_anothers_ids(schemas, story, tenants, pair):
    """All ids of the request are the owner's; the strangers have nothing yet."""
    owner = tenants[OWNER]
    asked = 0
    for step in story:
        request = fill(step["request"], dict(owner.words, text="words"))
        if step["creates"]:
            continue  # with any id it makes something of the caller's own: see the namesake
        pair.call(step["method"], request)
        if "command" in request:
            pair.send({intent_of(schemas, step["method"]): request["command"]})
        asked += 1
    assert asked > 20


def test_every_id_of_every_request(schemas, story, tenants, pair):
    """The strangers tell the story themselves; before each step, each id in its request is the owner's once."""
    stranger, owner = tenants[STRANGER], tenants[OWNER]
    every = sorted(one for one in set().union(*owner.ids.values()) if not one.isdigit())
    varied, fresh = {}, 0
    for step in story:
        method, schema = step["method"], schemas.methods[step["method"]]["request"]
        request = fill(step["request"], stranger.words)
        for path in schemas.id_fields(schema):
            name = next(part for part in reversed(path) if part)
            if name in OWN_BY_NATURE or (step["creates"] and value_at(request, path) in {made_by(step, stranger)} - {None}):
                continue  # with the owner's it would be one of the stranger's own: see the namesake
            for value in sorted(owner.ids.get(re.sub(r"s$", "", name)) or every):
                fresh += 1
                varied.setdefault(method, set()).add(path)
                theirs = schemas.with_id(schema, own_again(request, step, stranger, fresh), path, value, stranger.words["now"])
                pair.call(method, theirs)
                if "command" in theirs:
                    theirs = schemas.with_id(schema, own_again(request, step, stranger, fresh + 100000), path, value, stranger.words["now"])
                    pair.send({intent_of(schemas, method): theirs["command"]})
        one, other = tenants[STRANGER].tell(step, counts=False), tenants[CONTROL].tell(step, counts=False)
        if schemas.methods[method]["get"]:
            pair.call(method, request, fill(step["request"], tenants[CONTROL].words))
        else:
            pair.compare(method, ("accepted", one), ("accepted", other))
    print({code: len(what) for code, what in pair.said.items()}, {method: len(paths) for method, paths in varied.items()})
    without_ids = {step["method"] for step in story} - set(varied)
    assert not without_ids, "in these requests no id was found; do they have none?"


def made_by(step, tenant):
    return fill(step["answer"], tenant.words)["outcome"].get("aggregateId")


def value_at(request, path):
    for key in path:
        request = request[0] if key is None and request else request.get(key) if isinstance(request, dict) else None
    return request


def own_again(request, step, stranger, number):
    """The request with another identity for what it creates, so that the step itself still can."""
    if not step["creates"]:
        return request
    mine = stranger.words["id"]
    identities = (made_by(step, stranger), request["command"].get("fingerprint"))
    return substitute(request, {one: f"{mine}{number}-{one.removeprefix(mine)}" for one in identities if one})


def test_nobody_speaks_for_another_tenant(schemas, story, tenants, pair):
    for step in story:
        request = fill(step["request"], dict(tenants[OWNER].words, text="words"))
        if "command" not in request:
            continue
        said = [pair_member.send({"meta": {"messageId": str(uuid.uuid4()), "tenantId": claimed}, intent_of(schemas, step["method"]): request["command"]})
                for pair_member, claimed in ((tenants[STRANGER], OWNER), (tenants[CONTROL], "isolation.nobody"))]
        assert said[0][0] == "permission_denied", (step["method"], said)
        assert said[0][1].replace(OWNER, "~") == said[1][1].replace("isolation.nobody", "~").replace(CONTROL, STRANGER), said


def test_a_namesake_lives_a_life_of_its_own(story, tenants):
    """The same ids all through, in another tenant: each step comes to what it would if nobody else were there."""
    namesake = tenants[NAMESAKE]
    for step in story:
        namesake.tell(step)
    versions = {(fact["subject"]["aggregateType"], fact["subject"]["aggregateId"]): [] for fact in all_facts(namesake)}
    for fact in all_facts(namesake):
        versions[fact["subject"]["aggregateType"], fact["subject"]["aggregateId"]].append(int(fact["subject"]["aggregateVersion"]))
    assert all(seen == list(range(1, len(seen) + 1)) for seen in versions.values()), versions


def test_events_are_of_the_own_tenant_only(place, tenants):

    def is_all(stream, tenant, after):
        """Something may come to an end by itself, which is a fact more, and there before it is on the stream."""
        came, facts = [event[0] for event in stream.events], [int(fact["sequence"]) for fact in all_facts(tenant)]
        assert came == [one for one in facts if one > after], (after, came, facts)
        return True
    for name in (STRANGER, NAMESAKE):
        tenant = tenants[name]
        for after in (0, int(all_facts(tenant)[0]["sequence"])):
            stream = Stream(place, after=after, token=tenant.tokens["viewer"])
            eventually("all its facts came, and nothing else", lambda one=stream, own=tenant, since=after: is_all(one, own, since))
            stream.close()
            assert OWNERS_TEXT not in json.dumps(stream.events)
    owner = tenants[OWNER]
    eventually("the owner's stream has nothing else in it", lambda: is_all(owner.stream, owner, 0))


def test_nothing_of_the_owner_was_in_any_answer(tenants):
    """Not even in what the strangers were told of their own."""
    for name in (STRANGER, CONTROL, NAMESAKE):
        assert len(tenants[name].answers) > 50, "this looks at what the tests above did: run the file as a whole"
        for method, request, answer in tenants[name].answers:
            if OWNERS_TEXT not in json.dumps(request):
                assert OWNERS_TEXT not in answer, f"{name}: {method} {request}: {answer}"
            assert OWNER not in answer or OWNER in json.dumps(request) or method == "/v1/intents", f"{name}: {method} {request}: {answer}"


def test_nothing_of_the_owner_was_changed(story, tenants):
    owner = tenants[OWNER]
    for before, after in zip(owner.before, what_stands(owner, story), strict=True):
        assert before == after


def test_pages_without_a_token_name_no_tenant(place, tenants):
    for path in ("/metrics", "/healthz", "/readyz", "/openapi.json", "/"):
        status, text = place.get(path, token="none")
        assert status in (200, 503), (path, status)
        for word in (OWNER, STRANGER, OWNERS_ID, STRANGERS_ID, OWNERS_TEXT):
            assert word not in text, f"{path} has '{word}' in it"
