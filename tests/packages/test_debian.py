# SPDX-License-Identifier: Apache-2.0
"""The Debian packages: installed, installed again, removed and purged in a copy of this system that nobody keeps."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest
from packaging import TARGETS, TOP, artefact, program


def ask(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    if not shutil.which("dpkg-deb"):
        pytest.skip("dpkg-deb is not here: no Debian")
    folder = tmp_path_factory.mktemp("debian")
    made = subprocess.run([TOP / "platforms/debian/build", "--output", folder], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return {target: folder / f"picket-agent_{artefact.version()}_{artefact.TARGETS[target]['debian']}.deb" for target in TARGETS}


@pytest.mark.parametrize("target", TARGETS)
def test_the_package_says_what_it_is(packages, target):
    fields = dict(re.findall(r"^(\S+): (.*)$", ask("dpkg-deb", "--field", packages[target]), re.M))
    assert fields["Package"] == "picket-agent" and fields["Architecture"] == artefact.TARGETS[target]["debian"]
    assert fields["Version"] == artefact.version() and "libc6" not in fields["Depends"]
    listed = ask("dpkg-deb", "--contents", packages[target])
    for line in listed.splitlines():
        assert " root/root " in line and line[8] != "w", line
    for name in ("usr/bin/picket-agent", "usr/lib/systemd/system/picket-agent.service", "etc/picket/agent.yaml",
                 "usr/share/man/man1/picket-agent.1.gz", "usr/share/doc/picket-agent/THIRD-PARTY-NOTICES.gz",
                 "usr/share/doc/picket-agent/picket-agent.cdx.json", "usr/share/doc/picket-agent/copyright"):
        assert f" ./{name}\n" in listed, name


def test_the_same_programs_give_the_same_package(packages, tmp_path):
    subprocess.run([TOP / "platforms/debian/build", "--output", tmp_path, "--targets", "aarch64"], check=True, stdout=subprocess.DEVNULL)
    again = tmp_path / packages["aarch64"].name
    assert again.read_bytes() == packages["aarch64"].read_bytes()


def test_lintian_finds_nothing(packages):
    if not shutil.which("lintian"):
        pytest.skip("lintian is not installed")
    # Why a static program: cross/README.md. The first version of a package of our own closes no bug of Debian's.
    # shared-library-lacks-prerequisites: lintian takes static-pie for a library. The configuration may hold passwords. The
    # helper's path stands in tests for its presence. The maintainer has no address.
    tags = ("statically-linked-binary,embedded-library,shared-library-lacks-prerequisites,initial-upload-closes-no-bugs,"
            "bogus-mail-host,bogus-mail-host-in-debian-changelog,non-standard-file-perm,command-with-path-in-maintainer-script")
    said = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", "--suppress-tags", tags, packages["x86_64"]],
                          capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr


def test_the_manual_page_has_no_mistakes(packages, tmp_path):
    if not shutil.which("man"):
        pytest.skip("man is not installed")
    subprocess.run(["dpkg-deb", "-x", packages["x86_64"], tmp_path], check=True)
    page = tmp_path / "usr/share/man/man1/picket-agent.1.gz"
    said = subprocess.run(["man", "--warnings", "-l", page], capture_output=True, text=True, check=False,
                          env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "200", "MAN_KEEP_STDERR": "1"})
    assert said.returncode == 0 and "SIGHUP" in said.stdout and "mqtt.host" in said.stdout
    assert not said.stderr.strip(), said.stderr


LIFE = r"""
set -e
mount -t overlay overlay -o lowerdir=/,upperdir=$1/upper,workdir=$1/work $1/system
mount -t proc proc $1/system/proc
mount --bind /dev $1/system/dev
cp $2 $1/system/agent.deb
cat >$1/system/life <<'END'
set -e
export DEBIAN_FRONTEND=noninteractive
rm -rf /run/systemd/system /etc/picket /var/lib/picket-agent
dpkg --install --force-depends /agent.deb
echo STEP installed
id picket
find /etc/systemd -name picket-agent.service -path '*.wants*' | sed 's/^/ENABLED /'
stat -c '%U:%G %a' /etc/picket/agent.yaml
/usr/bin/picket-agent --version
/usr/bin/picket-agent --check-config && echo 'SAMPLE ACCEPTED' || echo 'SAMPLE REFUSED'
dpkg --verify picket-agent && echo VERIFIED
echo '# mine' >>/etc/picket/agent.yaml
install -d -o picket -g picket -m 0700 /var/lib/picket-agent
echo queue >/var/lib/picket-agent/queue
echo STEP again
dpkg --install --force-depends --force-confold /agent.deb
grep '# mine' /etc/picket/agent.yaml
stat -c '%U:%G %a' /etc/picket/agent.yaml
echo STEP removed
dpkg --remove picket-agent
ls /etc/picket/agent.yaml /var/lib/picket-agent/queue
test ! -e /usr/bin/picket-agent
echo STEP purged
dpkg --purge picket-agent
test ! -e /etc/picket && test ! -e /var/lib/picket-agent
find /etc/systemd /var/lib/systemd -name '*picket-agent*' | sed 's/^/LEFT /'
echo STEP end
END
chroot $1/system /bin/sh /life
"""


def test_it_is_installed_upgraded_removed_and_purged(packages, tmp_path):
    if os.getuid() != 0 or not shutil.which("unshare"):
        pytest.skip("only root can make a copy of the system to install into")
    own = ask("dpkg", "--print-architecture").strip()
    target = next((one for one, names in artefact.TARGETS.items() if names["debian"] == own), None)
    if not target:
        pytest.skip(f"no package for {own}")
    # Over an overlay's own folders no further overlay can be made: a tmpfs below it.
    script = f"mount -t tmpfs none {tmp_path} && mkdir {tmp_path}/upper {tmp_path}/work {tmp_path}/system && sh -c \"$3\" life $1 $2"
    said = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", tmp_path, packages[target], LIFE],
                          capture_output=True, text=True, check=False)
    if "STEP" not in said.stdout and "mount" in said.stderr:
        pytest.skip(f"no copy of the system can be made here: {said.stderr.strip()[:200]}")
    assert said.returncode == 0, said.stdout + said.stderr
    steps = dict(zip(re.findall(r"STEP (\w+)", said.stdout), re.split(r"STEP \w+\n", said.stdout)[1:]))
    assert list(steps) == ["installed", "again", "removed", "purged", "end"]
    assert "picket" in steps["installed"] and "root:picket 640" in steps["installed"]
    assert "ENABLED" not in steps["installed"], "the next boot would start what nobody has configured"
    assert f"picket-agent {artefact.version()}" in steps["installed"] and "VERIFIED" in steps["installed"]
    assert "# mine" in steps["again"] and "root:picket 640" in steps["again"]
    assert "LEFT" not in steps["purged"], steps["purged"]
    assert program(target).exists() and not pathlib.Path("/usr/bin/picket-agent").exists(), "the host itself was changed"
