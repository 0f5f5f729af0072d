# SPDX-License-Identifier: Apache-2.0
"""The bill of materials names what is in the program, and nothing else; it has the form that CycloneDX 1.5 asks for."""
import json
import re
import subprocess

import pytest
from packaging import TARGETS, TOP, artefact, folder, program

# https://cyclonedx.org/docs/1.5/json/: required keys, and the values that an enumeration allows.
COMPONENT_KEYS = {"type", "bom-ref", "name", "version", "scope", "hashes", "licenses", "purl", "properties"}
LICENCES = {"MIT", "Apache-2.0", "Zlib", "OLDAP-2.8", "curl", "LGPL-2.1-or-later", "GPL-2.0-or-later", "GPL-2.0-only",
            "GPL-3.0-or-later", "EPL-2.0", "BSD-3-Clause", "Linux-syscall-note", "GCC-exception-3.1"}


def bill(target):
    return subprocess.run([TOP / "platforms/release/sbom", target], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("target", TARGETS)
def test_the_bill_has_the_form_of_cyclonedx_and_the_hash_of_the_program(target):
    text = bill(target)
    said = json.loads(text)
    assert (said["bomFormat"], said["specVersion"], said["version"]) == ("CycloneDX", "1.5", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", said["serialNumber"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", said["metadata"]["timestamp"])
    me = said["metadata"]["component"]
    assert me["hashes"] == [{"alg": "SHA-256", "content": artefact.sha256(program(target).read_bytes())}]
    references = [component["bom-ref"] for component in said["components"]]
    assert len(set(references)) == len(references)
    for component in [me, *said["components"]]:
        assert set(component) <= COMPONENT_KEYS, set(component) - COMPONENT_KEYS
        assert component["type"] in ("application", "library") and component["name"] and component["version"]
        assert component["purl"].startswith("pkg:")
        assert component.get("scope", "required") in ("required", "optional", "excluded")
        for choice in component["licenses"]:
            ids = re.split(r" (?:OR|AND|WITH) ", choice.get("expression") or choice["license"]["id"])
            assert set(ids) <= LICENCES, ids
    assert said["dependencies"] == [{"ref": me["bom-ref"], "dependsOn": references}]
    assert bill(target) == text, "two bills of one program differ"


@pytest.mark.parametrize("target", TARGETS)
def test_every_library_that_was_linked_is_billed_with_its_sources(target):
    said = json.loads(bill(target))
    billed = {component["name"]: component for component in said["components"]}
    linked = {name for name, component in billed.items() if component["scope"] == "required"}
    archives = artefact.archives(folder(target))
    assert {"c", "curl", "mbedtls", "lmdb", "paho-mqtt3a"} <= archives, archives
    expected = {name for name, _, names in artefact.PARTS.values() if names & archives}
    assert linked == expected
    for name in linked - {"libgcc"}:
        digests = [one for one in billed[name]["properties"] if one["name"].startswith("picket:sha256:")]
        assert digests and all(re.fullmatch(r"[0-9a-f]{64}", one["value"]) for one in digests), f"{name} has no hash"


def test_the_notices_have_each_licence_in_full():
    text = artefact.notices(folder("x86_64"))
    for words in ("Permission is hereby granted, free of charge", "Apache License", "OpenLDAP Public License",
                  "GNU LESSER GENERAL PUBLIC LICENSE", "Eclipse", "Daniel Stenberg", "Jean-loup Gailly", "GCC Runtime Library Exception"):
        assert words in text, f"'{words}' is missing"
