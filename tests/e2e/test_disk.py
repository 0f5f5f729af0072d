# SPDX-License-Identifier: Apache-2.0
"""A disk that is full is a state: the agent measures on, says so, and stores again when the disk does; one that is read-only when the agent
begins is waited for. On a
small file system of memory, mounted for the test; skipped where that is not allowed."""
import json
import math
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from generator import SLIS, Generator
from harness import CORE, ApiError, Place, eventually, seed

WINDOW = 1


def mount(*words):
    return subprocess.run(["mount", *map(str, words)], capture_output=True, text=True, check=False)


@pytest.fixture
def place(tmp_path):
    yield from place_on(tmp_path, tmp_path / "agent")


@pytest.fixture
def centre(tmp_path):
    yield from place_on(tmp_path, tmp_path / "aggregator")


def place_on(tmp_path, disk):
    """A place of which one folder is a disk of its own."""
    made = Place(tmp_path)
    disk.mkdir(exist_ok=True)
    if mount("-t", "tmpfs", "-o", "size=6m", "tmpfs", disk).returncode:
        made.close()
        pytest.skip("file systems may not be mounted here")
    yield made
    try:
        made.close()
    finally:
        subprocess.run(["umount", "-l", disk], check=False)


def readyz(place):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{place.agent_port}/readyz", timeout=5) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        return refused.code, json.loads(refused.read())


def newest(place, name):
    return max((at for at, point in place.windows(name, time.time() - 120, time.time() + 5).items() if point["windows"]), default=0)


def holds(place, name):
    """From now on, new windows arrive."""
    now = math.floor(time.time())
    eventually("new windows arrive", lambda: newest(place, name) > now, 90, 0.5)


def says(place, *words):
    status, body = readyz(place)
    text = " ".join(body["reasons"])
    assert status == 503 and any(word in text for word in words), body
    return text


def test_full_and_read_only_disks_are_states(place):
    numbers = seed()
    generator = Generator(numbers)
    place.closers.append(generator)
    disk = place.folder / "agent"
    place.start()
    names = list(SLIS)
    for name in names:
        place.create_slo(name, SLIS[name][0], WINDOW)
    for i in range(300):  # something to store
        place.create_slo(f"load-{i}", SLIS[names[0]][0], WINDOW)
    place.configure_agent({"gen": generator.url}, buffer__bytes_max="1MiB")
    place.start_agent()
    try:
        holds(place, names[0])
        place.agent_proxy.cut()  # with the centre there, the queue stays so small that it needs no more disk
        fill(disk)
        before = place.metric("picket_collect_scrapes_total", "agent")
        print(eventually("it says so", lambda: says(place, "cannot be stored"), every=0.5))
        eventually("it measures on", lambda: place.metric("picket_collect_scrapes_total", "agent") > before + 4)
        assert place.agent.runs()
        eventually("it is counted", lambda: place.metric("picket_buffer_store_failures_total", "agent") > 0)

        def told():
            """Connected, it is rid of what waits and may have room again, and says that, too: what it said before is looked at
            while it can say nothing more."""
            eventually("it says so", lambda: says(place, "cannot be stored"))
            place.agent_proxy.heal()
            said = eventually("the centre knows", lambda: place.agent_known()["status"].get("storeError"), every=0.05)
            place.agent_proxy.cut()
            assert "append" in said or "commit" in said or "is full" in said, said
            return said[:40] in place.ctl("agents").stdout and "has no room to store" in place.ctl("doctor", check=False).stdout
        eventually("the fleet and the doctor say it", told, 300)
        print(eventually("it says so again", lambda: says(place, "cannot be stored"), 60, 0.5))
        place.agent.kill()  # what it held in memory goes with it, and nothing else
        place.agent.start()
        print(eventually("it says so again", lambda: says(place, "stored", "nothing could be kept"), every=0.5))
        assert place.agent.runs(), place.agent.tail()
        (disk / "ballast").unlink()
        place.agent_proxy.heal()
        holds(place, names[0])
        eventually("it is ready", lambda: readyz(place)[0] == 200, every=0.5)

        place.agent.kill()
        made = mount("-o", "remount,ro", disk)
        assert made.returncode == 0, made.stderr
        place.agent.start()
        print(eventually("it waits and says why", lambda: says(place, "nothing could be kept"), every=0.5))
        time.sleep(4)
        assert place.agent.runs(), place.agent.tail()
        assert place.agent.terminate() == 0, place.agent.tail()  # also while it waits
        place.agent.start()
        eventually("it waits", lambda: says(place, "nothing could be kept"), every=0.5)
        assert mount("-o", "remount,rw", disk).returncode == 0
        holds(place, names[0])
        eventually("it is ready", lambda: readyz(place)[0] == 200, every=0.5)
        assert place.agent.terminate() == 0, place.agent.tail()
        assert place.rejections() == []
        place.agent.start()
        holds(place, names[0])
    except BaseException:
        print(place.story())
        raise


def test_a_full_disk_is_said_before_storing_fails_and_ends(place):
    generator = Generator(seed())
    place.closers.append(generator)
    disk = place.folder / "agent"
    place.start()
    name = next(iter(SLIS))
    place.create_slo(name, SLIS[name][0], 3600)  # no window ends, so nothing is stored in the queue
    place.configure_agent({"gen": generator.url}, buffer__bytes_max="1MiB", ship__status_interval="1h")
    place.start_agent()
    try:
        eventually("it measures", lambda: (place.metric("picket_collect_scrapes_total", "agent") or 0) > 3, every=0.5)
        assert "storeError" not in place.agent_known()["status"]
        fill(disk)
        # In its status without waiting for its time, whether or not a checkpoint has failed meanwhile.
        said = eventually("the centre knows", lambda: place.agent_known()["status"].get("storeError"), 60, 0.5)
        assert "full" in said or "checkpoint" in said, said
        assert said[:40] in place.ctl("agents").stdout
        assert "has no room to store" in place.ctl("doctor", check=False).stdout

        def shown():
            body = readyz(place)[1]
            return any("full" in text or "checkpoint" in text for text in body["reasons"] + body.get("warnings", []))
        eventually("its page says it", shown, every=0.5)
        (disk / "ballast").unlink()
        eventually("it is over", lambda: "storeError" not in place.agent_known()["status"], 60, 0.5)
        eventually("it is ready", lambda: readyz(place)[0] == 200 and not readyz(place)[1].get("warnings"), every=0.5)
    except BaseException:
        print(place.story())
        raise


def test_a_full_disk_of_the_centre_is_said_and_ends(centre):
    centre.token = centre.make_token("tests", "admin")
    centre.start_broker()
    centre.start_aggregator()
    disk = centre.folder / "aggregator"

    def open_incident(number):
        text = f"incident {number} " + "x" * 4000
        return centre.call(CORE + "IncidentService/CreateIncident", {"command": {
            "incidentId": f"i{number}", "title": "disk", "description": text, "severity": "SEVERITY_LOW"}})
    open_incident(0)
    fill(disk)
    # Room for some more, so that it is in the middle of a write that the disk gets full, which LMDB calls an error of the disk.
    with open(disk / "ballast", "r+b") as ballast:
        ballast.truncate((disk / "ballast").stat().st_size - 200 * 1024)
    kept = 1
    with pytest.raises(ApiError) as refused:
        while kept < 2000:
            open_incident(kept)
            kept += 1
    assert refused.value.code == "resource_exhausted" and "no space left on the disk" in str(refused.value), refused.value
    (disk / "ballast").unlink()
    eventually("it takes intents again", lambda: open_incident("again"), 30, 0.2)
    centre.aggregator.kill()
    centre.start_aggregator()
    assert centre.call(CORE + "IncidentService/GetIncident", {"incidentId": f"i{kept - 1}"})
    with pytest.raises(ApiError):
        centre.call(CORE + "IncidentService/GetIncident", {"incidentId": f"i{kept}"})


def fill(disk):
    with open(disk / "ballast", "wb") as ballast:
        try:
            while True:
                ballast.write(b"x" * 65536)
                ballast.flush()
        except OSError:
            pass
