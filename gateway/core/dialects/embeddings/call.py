"""A request for vectors in canonical form."""

from __future__ import annotations

from typing import Literal

import msgspec

from ..canonical.fidelity import Fidelity, Untranslatable

Raw = msgspec.Raw

# What vectors are for, in words of their own.
Purpose = Literal[
    "query", "document", "classification", "clustering", "similarity", "code", "question", "fact"
]


class Picture(msgspec.Struct, frozen=True):
    """An image: `url` is a data URL, or an address if its API takes one."""

    url: str


class MixedInput(msgspec.Struct, frozen=True):
    """What one vector is made of where that is not a text alone; `path` is where it stands."""

    parts: tuple[str | Picture, ...]
    path: str

    @property
    def text(self) -> str:
        return "\n".join(each for each in self.parts if isinstance(each, str))

    @property
    def pictures(self) -> list[Picture]:
        return [each for each in self.parts if isinstance(each, Picture)]


Input = str | list[int] | MixedInput


class EmbeddingCall(msgspec.Struct):
    """`inputs` are texts, tokens of OpenAI's, or images with or without text.

    `packed`, `plain`: the caller wants vectors as base64, as numbers, and `bare`: without a name of
    that form. `purpose` is None where
    it does not say. `title` is that of the one document, `truncate` whether a text that is too long
    is cut, `normalize` whether vectors have the length 1: None is as the API likes it.
    """

    inputs: list[Input]
    dimensions: Raw | None = None
    purpose: Purpose | None = None
    title: str | None = None
    truncate: bool | None = None
    normalize: bool | None = None
    packed: bool = False
    bare: bool = False
    plain: bool = True
    user: str | None = None
    paths: dict[str, str] = {}

    def path(self, name: str) -> str:
        """Return what the caller's dialect calls a member."""
        return self.paths.get(name, name)

    def texts(self, fidelity: Fidelity, api: str) -> list[str]:
        """Return the inputs for an `api` that makes vectors of texts. Raises Untranslatable."""
        return [self._text(each, fidelity, api) for each in self.inputs]

    def only_texts_and_images(self, fidelity: Fidelity, api: str) -> list[str | MixedInput]:
        """Return the inputs for an `api` that also takes images. Raises Untranslatable."""
        return [
            each if isinstance(each, MixedInput) else self._text(each, fidelity, api)
            for each in self.inputs
        ]

    def leave_out(self, fidelity: Fidelity, *names: str) -> None:
        """Take note of members that the API has no word for, and does without."""
        for name in names:
            if getattr(self, name) is not None:
                fidelity.hint(self.path(name))

    def _text(self, input: Input, fidelity: Fidelity, api: str) -> str:
        if isinstance(input, str):
            return input
        if isinstance(input, MixedInput):
            if input.pictures:
                fidelity.demand(input.path, f"{api} makes vectors of texts only")
            if not input.text:
                raise Untranslatable(input.path, f"{api} makes vectors of texts only")
            return input.text
        # Their text is not known here: nothing is left where they are left out.
        raise Untranslatable(self.path("inputs"), f"{api} takes texts, and no tokens")
