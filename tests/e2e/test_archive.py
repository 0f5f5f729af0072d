# SPDX-License-Identifier: Apache-2.0
"""verify, backup, restore, export and import by the real binary: beside a running aggregator under load, on a journal that
was tampered with, and from one aggregator to another."""
import json
import os
import pathlib
import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import threading

import pytest

from harness import BIN, CORE, ApiError, Place, eventually, seed

CRC32C_POLYNOMIAL = 0x82F63B78


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    made.start()
    yield made
    made.close()


def run(*words, expect=0):
    ran = subprocess.run([str(BIN / "picket-aggregator"), *map(str, words)], capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == expect, f"{words}: {ran.returncode}\n{ran.stdout}{ran.stderr}"
    return ran


def declare(place, incident_id, token=None):
    return place.call(CORE + "IncidentService/CreateIncident", {"command": {
        "incidentId": incident_id, "title": f"Checkout is slow, {incident_id}", "severity": "SEVERITY_HIGH"}}, token=token)


class Load:
    """Callers that declare incidents until they are told to stop."""

    def __init__(self, place, callers=4):
        self.place, self.stop, self.declared = place, threading.Event(), []
        self.threads = [threading.Thread(target=self._declare, args=(n,)) for n in range(callers)]
        for thread in self.threads:
            thread.start()

    def _declare(self, caller):
        number = 0
        while not self.stop.is_set():
            incident = f"inc-{caller}-{number}"
            declare(self.place, incident)
            self.declared.append(incident)
            number += 1

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (CRC32C_POLYNOMIAL if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_backup_under_load_restores_verifies_and_starts(place, tmp_path):
    load = Load(place)
    try:
        eventually("there is something to lose", lambda: len(load.declared) > 50)
        data = place.folder / "aggregator"
        backup = tmp_path / "backup"
        said = run("backup", "--to", backup, "--config", place.folder / "aggregator.yaml").stdout
        assert "backed up to" in said
        assert "whole: " in run("verify", "--data", data).stdout  # beside the load, too
        at_backup = len(load.declared)
        eventually("the load goes on", lambda: len(load.declared) > at_backup + 20)
    finally:
        load.end()
    manifest = json.loads((backup / "manifest.json").read_text(encoding="utf-8"))
    last = int(manifest["lastSequence"])
    facts = place.facts()
    assert last >= 50 and int(facts[-1]["sequence"]) > last
    # The aggregator's own history still has at that place what the backup ends with.
    run("verify", "--data", data, "--known", f"{last}:{manifest['lastHash']}")

    assert place.aggregator.terminate() == 0
    shutil.rmtree(data)
    said = run("restore", "--from", backup, "--config", place.folder / "aggregator.yaml").stdout
    assert "verified and restored" in said and "projections" in said
    assert f"last fact {last}:{manifest['lastHash']}" in run("verify", "--data", data).stdout
    # A second aggregator would take from the first what agents then delete: what was restored answers, and stays off the
    # broker until somebody says that it is the centre.
    assert "stands by" in said
    place.start_aggregator(ready=False)
    eventually("it says that it stands by", lambda: "stands by" in place.get("/readyz")[1], 30)
    assert place.facts() == [fact for fact in facts if int(fact["sequence"]) <= last]
    assert place.metric("picket_mqtt_connected") == 0
    assert "is the centre now" in run("take-over", "--data", data).stdout
    eventually("it is ready", lambda: place.get("/readyz")[0] == 200, 30)
    assert "nothing to do" in run("take-over", "--data", data).stdout
    declare(place, "inc-after")
    assert int(place.facts()[-1]["sequence"]) == last + 1
    refused = run("restore", "--from", backup, "--data", data, expect=1).stderr
    assert "in use" in refused


def test_a_copied_data_folder_stands_by(place):
    """Nobody who copies a folder thinks of what agents do when two aggregators acknowledge."""
    declare(place, "inc-1")
    data, first = place.folder / "aggregator", place.folder / "first"
    assert place.aggregator.terminate() == 0
    data.rename(first)  # where it lies does not matter
    first.rename(data)
    place.start_aggregator()
    assert place.aggregator.terminate() == 0
    data.rename(first)
    shutil.copytree(first, data)
    place.start_aggregator(ready=False)
    eventually("it says that it stands by", lambda: "data.path copied" in place.get("/readyz")[1], 30)
    assert "event=data_path_copied" in place.aggregator.log()
    assert place.metric("picket_mqtt_connected") == 0
    assert place.aggregator.terminate() == 0
    place.start_aggregator(ready=False)
    eventually("it still does", lambda: "stands by" in place.get("/readyz")[1], 30)
    assert "is the centre now" in run("take-over", "--data", data).stdout
    eventually("it is ready", lambda: place.get("/readyz")[0] == 200, 30)
    declare(place, "inc-2")
    assert place.aggregator.terminate() == 0
    place.start_aggregator()


def test_restore_into_a_folder_that_holds_something_is_refused(place, tmp_path):
    declare(place, "inc-1")
    backup = tmp_path / "backup"
    run("backup", "--to", backup, "--config", place.folder / "aggregator.yaml")
    assert "is not empty" in run("backup", "--to", backup, "--config", place.folder / "aggregator.yaml", expect=1).stderr
    assert place.aggregator.terminate() == 0
    before = {path: path.read_bytes() for path in (place.folder / "aggregator").rglob("*") if path.is_file()}
    assert "is not empty" in run("restore", "--from", backup, "--config", place.folder / "aggregator.yaml", expect=1).stderr
    assert {path: path.read_bytes() for path in before} == before


def verifying_child(process):
    """The process in which a command follows the copied journal, stopped as soon as it has opened it; or None."""
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")

    def follows(child):
        return ".partial/journal/data.mdb" in pathlib.Path(f"/proc/{child}/maps").read_text(encoding="utf-8")
    while process.poll() is None:
        try:
            for child in children.read_text(encoding="ascii").split():
                if not follows(child):
                    continue
                os.kill(int(child), signal.SIGSTOP)
                while state_of(child) not in "TZ":
                    pass
                if state_of(child) == "T" and follows(child):
                    return int(child)
                os.kill(int(child), signal.SIGCONT)  # it had come to its end meanwhile
        except (FileNotFoundError, ProcessLookupError):
            pass
    return None


def state_of(process_id):
    """As proc(5) has it: T is stopped, Z has ended; Z too of one that is no more."""
    try:
        return pathlib.Path(f"/proc/{process_id}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"


def runs(process_id):
    return state_of(process_id) != "Z"


def test_backup_that_is_killed_leaves_no_process_and_no_lock(place, tmp_path):
    for number in range(300):
        declare(place, f"inc-{number}")
    backup, config, child = tmp_path / "backup", place.folder / "aggregator.yaml", None
    for _ in range(100):
        process = subprocess.Popen([str(BIN / "picket-aggregator"), "backup", "--to", str(backup), "--config", str(config)],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        child = verifying_child(process)
        if child:
            process.kill()
            process.wait()
            break
        shutil.rmtree(backup)
    assert child, "no backup took long enough to be caught"
    try:
        assert not backup.exists()
        run("backup", "--to", backup, "--config", config)  # at once: the lock went with the one that was killed
        eventually("its process is gone, too", lambda: not runs(child))
    finally:
        if runs(child):
            os.kill(child, signal.SIGKILL)
    run("verify", "--data", backup)


def record_around(data, at, size_min):
    """(begin, size) of the stored record that holds the bytes at `at`: where CRC32C, its first four bytes, is right."""
    for begin in range(at - 1, max(at - 700, 0), -1):
        if data[begin + 4] != 1:  # the schema
            continue
        for size in range(at + size_min - begin, at + size_min - begin + 260):
            if struct.unpack_from("<I", data, begin)[0] == crc32c(data[begin + 4:begin + size]):
                return begin, size
    return None


def test_fact_that_is_changed_with_its_checksum_made_good_is_found(place):
    for number in range(30):
        declare(place, f"inc-{number}")
    assert place.aggregator.terminate() == 0
    data = place.folder / "aggregator"
    assert "whole: 30 facts" in run("verify", "--data", data).stdout
    file = data / "journal" / "data.mdb"
    original = file.read_bytes()
    # The fact says it and the aggregate, each in a record of its own; older versions of pages may hold them, too.
    title, found = b"Checkout is slow, inc-16", 0
    places = [at for at in range(len(original)) if original.startswith(title, at)]
    for at in places:
        record = record_around(original, at, len(title))
        if not record:
            continue
        begin, size = record
        changed = bytearray(original)
        changed[at:at + len(title)] = b"Checkout was fine, yes16"
        struct.pack_into("<I", changed, begin, crc32c(bytes(changed[begin + 4:begin + size])))
        file.write_bytes(changed)
        ran = subprocess.run([str(BIN / "picket-aggregator"), "verify", "--data", str(data)], capture_output=True, text=True,
                             timeout=60, check=False)
        if ran.returncode == 1 and "fact 17 (tenant demo, incident inc-16): hash: " in ran.stderr:
            found += 1
    file.write_bytes(original)
    assert found == 1, f"{len(places)} places"
    assert "whole: 30 facts" in run("verify", "--data", data).stdout


def newest_root(data):
    """Of the list of tables: its page, by the newer of the two first pages (LMDB 0.9, 64 bits)."""
    metas = [struct.unpack_from("<QQ", data, begin + 16 + 24 + 2 * 48) for begin in (0, 4096)]
    newer = 0 if metas[0][1] > metas[1][1] else 4096
    return struct.unpack_from("<Q", data, newer + 16 + 24 + 48 + 40)[0]


def tables_cursor(data):
    """The last fact that the read tables were made of."""
    tables = sqlite3.connect(f"file:{data / 'projections.sqlite'}?mode=ro", uri=True, timeout=30)
    try:
        return tables.execute("SELECT value FROM projection_meta WHERE key = 'cursor'").fetchone()[0]
    finally:
        tables.close()


def test_a_journal_that_seems_to_be_empty_is_neither_whole_nor_begun_anew(place):
    for number in range(30):
        declare(place, f"inc-{number}")
    data = place.folder / "aggregator"
    eventually("the read tables have them on the disk", lambda: tables_cursor(data) == 30)
    assert place.aggregator.terminate() == 0
    file = data / "journal" / "data.mdb"
    changed = bytearray(file.read_bytes())
    root = newest_root(changed)
    other = 2 if root != 2 else 3
    changed[root * 4096:root * 4096 + 4096] = changed[other * 4096:other * 4096 + 4096]
    file.write_bytes(changed)
    assert f"the store's own pages are damaged, so that what is there is not found: page {root} is damaged" in run("verify", "--data", data, expect=1).stderr
    run("backup", "--to", place.folder / "backup", "--config", place.folder / "aggregator.yaml", expect=1)
    start = ["--config", place.folder / "aggregator.yaml"]
    assert "the list of its tables is damaged (restore a backup; " in (ran := run(*start, expect=1)).stdout + ran.stderr
    # Nor is another one taken for it when it is gone as a whole.
    shutil.rmtree(data / "journal")
    assert "holds no fact, and the read tables were made of 30" in (ran := run(*start, expect=1)).stdout + ran.stderr


def test_random_changes_of_the_file_never_end_verify_without_an_answer(place):
    chance = random.Random(seed())
    for number in range(40):
        declare(place, f"inc-{number}")
    assert place.aggregator.terminate() == 0
    data = place.folder / "aggregator"
    file = pathlib.Path(data / "journal" / "data.mdb")
    original = file.read_bytes()
    for _ in range(25):
        changed = bytearray(original)
        for _ in range(chance.randrange(1, 50)):
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        file.write_bytes(changed)
        ran = subprocess.run([str(BIN / "picket-aggregator"), "verify", "--data", str(data)], capture_output=True, text=True,
                             timeout=60, check=False)
        assert ran.returncode in (0, 1), f"{ran.returncode}: {ran.stdout}{ran.stderr}"
        assert ran.returncode == 0 or ran.stderr.startswith("picket-aggregator: "), ran.stderr


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def without_journal(lines):
    """Without what belongs to the journal that it came from: the header, sequences, the digest."""
    kept = [line for line in lines if "header" not in line and "end" not in line]
    for line in kept:
        if "fact" in line:
            del line["fact"]["fact"]["sequence"]
    return kept


@pytest.fixture
def other_place(tmp_path_factory):
    made = Place(tmp_path_factory.mktemp("other"))
    made.start()
    yield made
    made.close()


def test_tenant_moves_from_one_aggregator_to_another(place, other_place, tmp_path):
    stranger = place.make_token("stranger", "admin", tenant="umbrella")
    eventually("the token is known", lambda: declare(place, "secret-first", token=stranger))
    for number in range(25):
        declare(place, f"inc-{number}")
        declare(place, f"secret-{number}", token=stranger)
    place.create_slo("checkout", {"counterRatio": {"goodSelector": "ok", "totalSelector": "all"}}, 60)
    keyed = {"Idempotency-Key": "the-only-one"}
    command = {"command": {"incidentId": "inc-keyed", "title": "Once", "severity": "SEVERITY_LOW"}}
    place.call(CORE + "IncidentService/CreateIncident", command, headers=keyed)
    with pytest.raises(ApiError):
        declare(place, "inc-3")
    facts, rejections = place.facts(), place.rejections()
    config, other_config = place.folder / "aggregator.yaml", other_place.folder / "aggregator.yaml"

    export = tmp_path / "demo.jsonl"
    assert "exported tenant demo: 27 facts" in run("export", "--tenant", "demo", "--to", export, "--config", config).stdout
    assert "is there already" in run("export", "--tenant", "demo", "--to", export, "--config", config, expect=1).stderr
    text = export.read_bytes()
    assert b"umbrella" not in text and b"secret" not in text
    assert run("export", "--tenant", "demo", "--config", config).stdout.count("\n") == text.count(b"\n")
    assert "knows no tenant 'nobody'" in run("export", "--tenant", "nobody", "--config", config, expect=1).stderr

    # While the other aggregator runs its journal has a writer.
    assert "in use" in run("import", "--tenant", "demo", "--from", export, "--config", other_config, expect=1).stderr
    elsewhere = other_place.make_token("somebody", "admin", tenant="zeta")
    eventually("the token is known", lambda: declare(other_place, "z-first", token=elsewhere))
    for number in range(9):
        declare(other_place, f"z-{number}", token=elsewhere)
    assert other_place.aggregator.terminate() == 0
    half = tmp_path / "half.jsonl"
    half.write_bytes(text[:len(text) // 2])
    assert "nothing was changed" in run("import", "--tenant", "demo", "--from", half, "--config", other_config, expect=1).stderr
    said = run("import", "--tenant", "demo", "--from", export, "--config", other_config).stdout
    assert "imported tenant demo: 27 facts" in said and "11 to 37 of this journal" in said
    assert "the tenant already" in run("import", "--tenant", "demo", "--from", export, "--config", other_config, expect=1).stderr
    assert "whole: 37 facts" in run("verify", "--messages", "--config", other_config).stdout
    again = tmp_path / "again.jsonl"
    run("export", "--tenant", "demo", "--to", again, "--config", other_config)
    assert without_journal(lines_of(again)) == without_journal(lines_of(export))

    other_place.start_aggregator()
    moved = other_place.facts()
    assert [fact["sequence"] for fact in moved] == [str(n) for n in range(11, 38)]
    for fact in facts + moved:
        del fact["sequence"]
    assert moved == facts
    said = [{key: value for key, value in one.items() if key != "sequence"} for one in rejections]
    assert len(said) == 1 and said == [{key: value for key, value in one.items() if key != "sequence"} for one in other_place.rejections()]
    # The same request again is a repeat here, too; what is new goes on.
    other_place.call(CORE + "IncidentService/CreateIncident", command, headers=keyed)
    assert len(other_place.facts()) == 27
    declare(other_place, "inc-new")
    assert len(other_place.facts()) == 28
    assert len(other_place.call(CORE + "FactService/ListFacts", {"limit": 1000}, token=elsewhere)["facts"]) == 10
