from __future__ import annotations

import resource
import subprocess
import sys

SCRIPT = """
import resource
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
from gateway.process_limits import MOST_DESCRIPTORS, settle_limits
settle_limits()
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
assert soft == min(hard if hard >= 0 else MOST_DESCRIPTORS, MOST_DESCRIPTORS), (soft, hard)
assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0
settle_limits()
print(soft)
"""


def test_a_process_takes_what_it_may_have() -> None:
    done = subprocess.run(  # noqa: S603  # the script above
        [sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True
    )
    assert int(done.stdout) >= min(256, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
