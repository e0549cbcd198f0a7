from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from gateway import __version__
from gateway.installation import DISTRIBUTION

ROOT: Final = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["run", "container", "dev"])
def test_the_bill_of_materials_lists_all_that_is_locked(name: str) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "sbom"), name]
    made = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    document = json.loads(made.stdout)
    assert document["bomFormat"] == "CycloneDX"
    assert document["metadata"]["component"]["purl"] == f"pkg:pypi/{DISTRIBUTION}@{__version__}"
    locked = (ROOT / "requirements" / f"{name}.txt").read_text()
    parts = document["components"]
    assert len(parts) == len(re.findall(r"(?m)^[a-z0-9._-]+(?:\[.*\])?==", locked))
    for part in parts:
        assert part["purl"] == f"pkg:pypi/{part['name']}@{part['version']}"
        assert f"{part['name']}" in locked
        # By what each may be installed: nothing is listed that is not locked by its hash.
        hashes = [each["hashes"][0]["content"] for each in part["externalReferences"]]
        assert hashes
        assert all(f"--hash=sha256:{each}" in locked for each in hashes)
