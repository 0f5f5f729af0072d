# SPDX-License-Identifier: Apache-2.0
"""All artefacts of a version, as platforms/release/build makes them: whole, summed, and each what its name says."""
import json
import shutil
import subprocess
import tarfile

import pytest
from packaging import TARGETS, TOP, artefact


def ask(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, check=True, **more).stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    if not shutil.which("dpkg-deb"):
        pytest.skip("dpkg-deb is not here: no Debian")
    folder = tmp_path_factory.mktemp("release")
    (folder / "dist").mkdir()
    (folder / "dist/old").write_text("of the version before")
    made = subprocess.run([TOP / "platforms/release/build", "--output", folder / "dist"], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    assert [path.name for path in folder.iterdir()] == ["dist"], "it left something beside"
    return folder / "dist"


def test_every_artefact_is_there_and_summed(dist):
    version = artefact.version()
    wanted = {f"picket-agent-{version}-{target}{end}" for target in TARGETS for end in ("", ".debug.gz", ".cdx.json", ".THIRD-PARTY-NOTICES.txt")}
    wanted |= {f"picket-agent_{version}_{artefact.TARGETS[target]['debian']}.deb" for target in TARGETS}
    wanted |= {f"picket-aggregator_{version}_{ask('dpkg', '--print-architecture').strip()}.deb", f"picket-agent-{version}-oci.tar",
               f"picket-agent-chart-{version}.tgz", f"picket-agent-manifests-{version}.tar.gz"}
    assert {path.name for path in dist.iterdir()} == wanted | {"SHA256SUMS"}
    assert ask("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=dist).count(": OK\n") == len(wanted)


def test_archives_hold_what_they_say(dist):
    version = artefact.version()
    with tarfile.open(dist / f"picket-agent-{version}-oci.tar") as archive:
        index = json.load(archive.extractfile("index.json"))
        assert json.load(archive.extractfile("oci-layout"))["imageLayoutVersion"] == "1.0.0" and index["manifests"]
    with tarfile.open(dist / f"picket-agent-chart-{version}.tgz") as archive:
        assert {"picket-agent/Chart.yaml", "picket-agent/values.yaml"} <= set(archive.getnames())
    with tarfile.open(dist / f"picket-agent-manifests-{version}.tar.gz") as archive:
        assert "manifests/kustomization.yaml" in archive.getnames()


def test_the_aggregators_package_runs_and_needs_only_what_it_names(dist, tmp_path):
    package = next(dist.glob("picket-aggregator_*.deb"))
    version = artefact.version()
    assert ask("dpkg-deb", "--field", package, "Package", "Version") == f"Package: picket-aggregator\nVersion: {version}\n"
    depends = ask("dpkg-deb", "--field", package, "Depends")
    assert "libc6" in depends and "passwd" in depends
    subprocess.run(["dpkg-deb", "-x", package, tmp_path], check=True)
    for name in ("usr/lib/systemd/system/picket-aggregator.service", "etc/picket/aggregator.yaml", "usr/share/man/man1/picketctl.1.gz",
                 "usr/share/doc/picket-aggregator/copyright"):
        assert (tmp_path / name).is_file(), name
    for program in ("picket-aggregator", "picketctl"):
        assert version in ask(tmp_path / "usr/bin" / program, *(["--version"] if program != "picketctl" else ["version"]))
        libraries = ask("ldd", tmp_path / "usr/bin" / program)
        assert "not found" not in libraries and str(TOP) not in libraries, libraries


def test_a_machine_without_git_makes_them_too(monkeypatch, tmp_path):
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert artefact.epoch() == artefact.NO_COMMIT
