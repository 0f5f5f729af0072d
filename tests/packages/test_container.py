# SPDX-License-Identifier: Apache-2.0
"""The image layout holds together by its digests, and its root file system runs: as a user without rights, on a read-only
root, with nothing of the host."""
import gzip
import hashlib
import io
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import tarfile

import pytest
from packaging import MACHINES, TARGETS, TOP, artefact, program

USER = 65532
AT_WORK = re.compile("event=disconnected")  # no broker is there: all that comes before it went well


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    made = tmp_path_factory.mktemp("container") / "layout"
    subprocess.run([TOP / "platforms/container/build", "--output", made, "--archive", made.parent / "image.tar"], check=True)
    return made


def blob(layout, descriptor):
    algorithm, _, digest = descriptor["digest"].partition(":")
    data = (layout / "blobs" / algorithm / digest).read_bytes()
    assert algorithm == "sha256" and hashlib.sha256(data).hexdigest() == digest and len(data) == descriptor["size"]
    return data


def images(layout):
    """{architecture: (manifest, config, layer's tar)}, everything checked on the way from index.json."""
    top = json.loads((layout / "index.json").read_text(encoding="utf-8"))
    index = json.loads(blob(layout, top["manifests"][0]))
    found = {}
    for descriptor in index["manifests"]:
        manifest = json.loads(blob(layout, descriptor))
        config = json.loads(blob(layout, manifest["config"]))
        found[descriptor["platform"]["architecture"]] = (descriptor, manifest, config, gzip.decompress(blob(layout, manifest["layers"][0])))
    return found


def test_every_blob_is_reached_and_is_what_its_digest_says(layout):
    assert json.loads((layout / "oci-layout").read_text(encoding="utf-8")) == {"imageLayoutVersion": "1.0.0"}
    top = json.loads((layout / "index.json").read_text(encoding="utf-8"))
    assert top["schemaVersion"] == 2 and len(top["manifests"]) == 1
    assert top["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] == artefact.version()
    reached = {top["manifests"][0]["digest"]}
    for descriptor, manifest, config, tar in images(layout).values():
        assert manifest["schemaVersion"] == 2 and manifest["mediaType"] == descriptor["mediaType"]
        assert manifest["config"]["mediaType"] == "application/vnd.oci.image.config.v1+json"
        assert [one["mediaType"] for one in manifest["layers"]] == ["application/vnd.oci.image.layer.v1.tar+gzip"]
        assert config["rootfs"] == {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}"]}
        assert {key: descriptor["platform"][key] for key in ("os", "architecture")} == {key: config[key] for key in ("os", "architecture")}
        reached |= {descriptor["digest"], manifest["config"]["digest"], manifest["layers"][0]["digest"]}
    assert {f"sha256:{path.name}" for path in (layout / "blobs/sha256").iterdir()} == reached
    assert sorted(images(layout)) == ["amd64", "arm", "arm64"]


@pytest.mark.parametrize("target", TARGETS)
def test_the_image_holds_the_program_and_nothing_that_it_does_not_need(layout, target):
    _, manifest, config, tar = images(layout)[artefact.TARGETS[target]["oci"]["architecture"]]
    assert config["config"]["User"] == f"{USER}:{USER}" and config["config"]["Entrypoint"] == ["/picket-agent"]
    assert manifest["annotations"]["org.opencontainers.image.version"] == artefact.version()
    entries = {}
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        for member in opened:
            assert not member.mode & 0o6022, f"{member.name} may be written by others, or gives its owner's rights"
            assert member.isdir() or member.isfile() or (member.islnk() and member.name.startswith("usr/share/zoneinfo/"))
            assert (member.uid == 0) != (member.name == "var/lib/picket-agent")
            entries[member.name] = None if member.isdir() else opened.extractfile(member).read()
    assert entries["picket-agent"] == program(target).read_bytes()
    assert f"picket:x:{USER}:{USER}:" in entries["etc/passwd"].decode()
    assert b"BEGIN CERTIFICATE" in entries["etc/ssl/certs/ca-certificates.crt"]
    zones = [name for name in entries if name.startswith("usr/share/zoneinfo/") and entries[name]]
    assert len(zones) > 400 and all(entries[name].startswith(b"TZif") for name in zones)
    assert entries["usr/share/zoneinfo/Europe/Berlin"] == pathlib.Path("/usr/share/zoneinfo/Europe/Berlin").read_bytes()
    assert [name for name, data in entries.items() if data and data.startswith(b"\x7fELF")] == ["picket-agent"]
    bill = json.loads(entries["usr/share/doc/picket-agent/picket-agent.cdx.json"])
    assert bill["metadata"]["component"]["hashes"][0]["content"] == artefact.sha256(entries["picket-agent"])
    assert len(tar) < 4 * 1024 * 1024, f"{len(tar)} bytes unpacked"


def test_the_same_programs_give_the_same_image(layout, tmp_path):
    again = tmp_path / "again"
    subprocess.run([TOP / "platforms/container/build", "--output", again], check=True)
    assert (again / "index.json").read_bytes() == (layout / "index.json").read_bytes()


def test_the_archive_is_the_layout(layout):
    with tarfile.open(layout.parent / "image.tar") as opened:
        packed = {member.name: opened.extractfile(member).read() for member in opened if member.isfile()}
    assert packed == {str(path.relative_to(layout)): path.read_bytes() for path in layout.rglob("*") if path.is_file()}


def test_its_root_runs_without_rights_on_a_read_only_file_system(layout, tmp_path):
    if os.getuid() != 0 or not shutil.which("unshare"):
        pytest.skip("only root can make a root file system of it")
    target = next((one for one, machine in MACHINES.items() if machine == platform.machine()), None)
    if not target:
        pytest.skip(f"no image for {platform.machine()}")
    root = tmp_path / "root"
    root.mkdir()
    with tarfile.open(fileobj=io.BytesIO(images(layout)[artefact.TARGETS[target]["oci"]["architecture"]][3])) as opened:
        opened.extractall(root, numeric_owner=True)
    for folder in [tmp_path, *tmp_path.parents]:  # the user must be able to reach its own root
        if folder.is_relative_to("/tmp") and folder != folder.parent:
            os.chmod(folder, folder.stat().st_mode | 0o011)
    # What every container engine brings: /proc, and /dev with random numbers.
    (root / "proc").mkdir()
    (root / "dev").mkdir()
    for name in ("random", "urandom"):
        (root / "dev" / name).touch()
    (root / "etc/picket/agent.yaml").write_text(
        "agent: {tenant: demo, name: e1}\nhttp: {port: 0}\nmqtt: {host: 127.0.0.1, port: 9, plain_text: true}\n", encoding="utf-8")
    # As Kubernetes runs it: the root read-only, the queue on a volume of its own, no rights and no way to new ones.
    script = (f"mount --bind {root} {root} && mount -t tmpfs -o mode=0700,uid={USER},gid={USER} queue {root}/var/lib/picket-agent && "
              f"mount -t proc proc {root}/proc && mount --bind /dev/random {root}/dev/random && "
              f"mount --bind /dev/urandom {root}/dev/urandom && "
              f"mount -o remount,bind,ro {root} && exec setpriv --no-new-privs timeout 120 "
              f"unshare --root={root} --setuid={USER} --setgid={USER} /picket-agent --config /etc/picket/agent.yaml")
    said = ""
    with subprocess.Popen(["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", script], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True) as ran:
        for line in ran.stdout:  # to the end, where it comes to one
            said += line
            if AT_WORK.search(line):
                assert ran.poll() is None, said
                ran.kill()
                break
    if "unshare" in said and "Operation not permitted" in said:
        pytest.skip("this machine lets nobody make mounts")
    assert AT_WORK.search(said), said
    assert "read-only" not in said.lower() and "permission denied" not in said.lower(), said
