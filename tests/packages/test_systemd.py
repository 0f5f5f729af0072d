# SPDX-License-Identifier: Apache-2.0
"""The units: systemd takes each line, and thinks them hard to break out of."""
import re
import shutil
import subprocess

import pytest
from packaging import TOP

UNITS = sorted((TOP / "platforms/systemd").glob("*.service"))


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_systemd_understands_every_line(unit, tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    # The programs are not installed here: true stands for them, and the manual is left out.
    text = re.sub(r"/usr/bin/picket-\w+", shutil.which("true"), unit.read_text(encoding="utf-8"))
    copy = tmp_path / unit.name
    copy.write_text(re.sub(r"^Documentation=.*\n", "", text, flags=re.M), encoding="utf-8")
    said = subprocess.run(["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, check=False)
    ours = [line for line in said.stderr.splitlines() if unit.stem in line]
    assert not ours, "\n".join(ours)


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_the_exposure_is_at_most_1_5_of_10(unit):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    said = subprocess.run(["systemd-analyze", "security", "--offline=true", unit], capture_output=True, text=True, check=False)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said.stdout)
    if not found:
        pytest.skip(f"this systemd-analyze judges no files: {said.stderr.strip()[:200]}")
    assert float(found.group(1)) <= 1.5, said.stdout


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_folders_and_users_agree_with_the_programs(unit):
    text = unit.read_text(encoding="utf-8")
    keys = dict(re.findall(r"^(\w+)=(.*)$", text, re.M))
    assert keys["User"] == keys["Group"] == "picket"
    reference = (TOP / {"picket-agent": "agent", "picket-aggregator": "aggregator"}[unit.stem] / "REFERENCE.md").read_text(encoding="utf-8")
    assert f"`/var/lib/{keys['StateDirectory']}`" in reference, "the program's own folder is another"
    assert f"--config {keys['ConditionPathExists']}" in keys["ExecStart"]
