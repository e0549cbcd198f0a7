"""Look for fields in a form while it passes (multipart/form-data, RFC 7578 and RFC 2046 5.1).

Nothing is held of the files in it: of each part its head is read, and the value of the fields that
are wanted. What two readers could take for different forms is refused, as the gateway decides by a
field and the provider acts by it: a field twice, a name in other letters, a folded head, a
preamble, an encoded value.

    PREAMBLE --boundary--> HEAD --blank line--> VALUE or FILE --boundary--> HEAD
                                                              --last boundary--> END
"""

from __future__ import annotations

import enum
import re
from typing import Final

import msgspec

from .member_names import NameTable

# Bytes: of the head of a part, and of a value that is wanted. Names of models are not as long.
MOST_HEAD: Final = 8 * 1024
MOST_VALUE: Final = 1024
# A form has a field for each option and perhaps some dozens of files.
MOST_PARTS: Final = 1000

_BOUNDARY: Final = re.compile(
    r"""multipart/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"\\]{1,70})"|([^\s";,]{1,70}))\s*(?:;.*)?""",
    re.IGNORECASE,
)
# RFC 2046 section 5.1.1, `bcharsnospace` and the blank, which must not be the last.
_BCHARS: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_DISPOSITION: Final = re.compile(
    r"""form-data((?:\s*;\s*[a-z*]+\s*=\s*(?:"(?:[^"\\\r\n]|\\.)*"|[^\s";]+))*)\s*;?\s*""",
    re.IGNORECASE,
)
_PARAMETER: Final = re.compile(
    r"""([a-z*]+)\s*=\s*(?:"((?:[^"\\\r\n]|\\.)*)"|([^\s";]+))""", re.IGNORECASE
)
_PLAIN_ENCODINGS: Final = frozenset({"", "7bit", "8bit", "binary"})


class InvalidForm(ValueError):
    """The bytes are no form, or one that can be read in two ways."""


class FoundField(msgspec.Struct, frozen=True):
    """A value, and where its bytes begin and end in the form."""

    value: str
    start: int
    end: int


def boundary_of(content_type: bytes) -> bytes | None:
    """Return the boundary of a form; None if the type is another or has none that can be."""
    found = _BOUNDARY.fullmatch(content_type[:MOST_VALUE].decode("latin-1").strip())
    if found is None or content_type.lower().count(b"boundary=") != 1:
        return None
    boundary = found[1] or found[2]
    return boundary.encode("ascii") if _BCHARS.fullmatch(boundary) else None


class _State(enum.Enum):
    PREAMBLE = "preamble"
    HEAD = "head"
    VALUE = "value"
    FILE = "file"
    END = "end"


class FormScanner:
    """Finds the fields that are `wanted`. `fields` has each as soon as its value is whole.

    `names` has how every other field is called, without what stands in brackets behind it.
    """

    def __init__(self, boundary: bytes, wanted: tuple[str, ...]) -> None:
        self.names: list[str] = []
        self.fields: dict[str, FoundField] = {}
        self._delimiter = b"\r\n--" + boundary
        self._wanted = NameTable(wanted)
        self._state = _State.PREAMBLE
        self._field = ""
        self._parts = 0
        # What has come and is not decided yet, and where in the form it begins.
        self._rest = b""
        self._at = 0

    def __repr__(self) -> str:
        return f"<FormScanner in {self._state.value}, {[*self.fields]}>"

    @property
    def ended(self) -> bool:
        """Say whether the form is complete."""
        return self._state is _State.END

    def feed(self, data: bytes) -> None:
        """Look at the next bytes of the form. Raises InvalidForm."""
        self._rest += data
        while self._step():
            pass

    def _step(self) -> bool:
        """Take what can be decided; say whether to go on with what is left."""
        if self._state is _State.END:
            # An epilogue means nothing.
            self._take(len(self._rest))
            return False
        if self._state is _State.PREAMBLE:
            return self._first_boundary()
        if self._state is _State.HEAD:
            return self._head()
        return self._content()

    def _first_boundary(self) -> bool:
        first = self._delimiter[2:]
        if not first.startswith(self._rest[: len(first)]):
            raise InvalidForm("it does not begin with its boundary")
        return len(self._rest) >= len(first) and self._behind_boundary(len(first))

    def _behind_boundary(self, end: int) -> bool:
        """Take a boundary, which ends at `end`, and what follows it; say whether that has come."""
        after = self._rest[end : end + 2]
        if len(after) < 2:
            return False
        if after == b"--":
            self._state = _State.END
        elif after == b"\r\n":
            self._state = _State.HEAD
            self._parts += 1
            if self._parts > MOST_PARTS:
                raise InvalidForm(f"it has more than {MOST_PARTS} parts")
        else:
            raise InvalidForm("its boundary stands inside of a part")
        self._take(end + 2)
        return True

    def _head(self) -> bool:
        end = self._rest.find(b"\r\n\r\n", 0, MOST_HEAD)
        if end < 0:
            if len(self._rest) >= MOST_HEAD:
                raise InvalidForm(f"the head of a part is longer than {MOST_HEAD} bytes")
            return False
        name = self._name_of(self._rest[:end])
        self._take(end + 4)
        self._field = name
        self._state = _State.VALUE if name else _State.FILE
        # The line break of a boundary behind no value at all is that of the head.
        self._rest = b"\r\n" + self._rest
        self._at -= 2
        return True

    def _name_of(self, head: bytes) -> str:
        """Return the name of a part that is wanted, else ""."""
        headers: dict[str, str] = {}
        for line in head.decode("utf-8", "replace").split("\r\n"):
            name, colon, value = line.partition(":")
            name = name.lower()
            if not colon or not name.isascii() or name != name.strip() or "\n" in line:
                raise InvalidForm("the head of a part is malformed")
            if name in headers:
                raise InvalidForm("a part has the same header twice")
            headers[name] = value.strip()
        found = _DISPOSITION.fullmatch(headers.get("content-disposition", ""))
        if found is None:
            raise InvalidForm("a part does not say which field it is")
        parameters: dict[str, str] = {}
        for each in _PARAMETER.finditer(found[1]):
            if (key := each[1].lower()) in parameters:
                raise InvalidForm(f"a part has two parameters {key}")
            parameters[key] = each[2] if each[3] is None else each[3]
        return self._field_of(parameters, headers)

    def _field_of(self, parameters: dict[str, str], headers: dict[str, str]) -> str:
        if "name" not in parameters or "name*" in parameters:
            raise InvalidForm("a part does not say which field it is")
        name = parameters["name"]
        # What stands in brackets is a member of a field, or one of several values.
        plain = name.partition("[")[0].replace("\\", "").replace("%", "")
        meant = self._wanted[plain]
        if meant is None:
            self.names.append(plain)
            return ""
        if name != meant:
            raise InvalidForm(f"the field {name[:32]!r} must be written {meant!r}")
        if meant in self.fields:
            raise InvalidForm(f"the field {meant!r} stands there twice")
        encoded = headers.get("content-transfer-encoding", "").lower()
        if "filename" in parameters or "filename*" in parameters or encoded not in _PLAIN_ENCODINGS:
            raise InvalidForm(f"the field {meant!r} must be plain text")
        return meant

    def _content(self) -> bool:
        end = self._rest.find(self._delimiter)
        if self._state is _State.VALUE and (end < 0 or end > MOST_VALUE + 2):
            if len(self._rest) > MOST_VALUE + len(self._delimiter):
                raise InvalidForm(f"the field {self._field!r} is longer than {MOST_VALUE} bytes")
            return False
        if end < 0:
            self._take(max(0, len(self._rest) - len(self._delimiter) + 1))
            return False
        stop = end + len(self._delimiter)
        if len(self._rest) < stop + 2:
            return False
        if self._state is _State.VALUE:
            self._keep_value(end)
        return self._behind_boundary(stop)

    def _keep_value(self, end: int) -> None:
        if end < 2:
            raise InvalidForm(f"the field {self._field!r} has no value")
        raw = self._rest[2:end]
        try:
            value = raw.decode()
        except UnicodeDecodeError as exc:
            raise InvalidForm(f"the field {self._field!r} is no UTF-8") from exc
        begins = self._at + 2
        self.fields[self._field] = FoundField(value, begins, begins + len(raw))

    def _take(self, size: int) -> None:
        self._rest = self._rest[size:]
        self._at += size
