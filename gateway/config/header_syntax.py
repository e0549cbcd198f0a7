"""What may stand in an HTTP header.

To be matched in full: `$` would let a line break at the end pass.
"""

from __future__ import annotations

import re
from typing import Final

HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110 section 5.6.2
HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
