"""The operations with images and sound, their parts put together."""

from __future__ import annotations

from typing import Final

from ..base import Dialect, DialectRequest
from ..openai_chat.dialect import OpenAIDialect
from .request import parse_media

# What images are made by if a request names no model (platform.openai.com/docs/api-reference,
# "Create image", "Create image variation").
_IMAGE_MODEL: Final = "dall-e-2"


class OpenAIMedia(OpenAIDialect):
    """One operation. `model` is what answers a request that names none; "" if it must name one."""

    def __init__(self, operation: str, path: str, model: str = "") -> None:
        self.name = "openai_" + operation
        self.operation = operation
        self.path = "/v1/" + path
        self._model: Final = model

    def read_request(self, body: bytes) -> DialectRequest:
        return parse_media(body, self._model)


OPENAI_IMAGES: Final[Dialect] = OpenAIMedia("images", "images/generations", _IMAGE_MODEL)
OPENAI_IMAGE_EDITS: Final[Dialect] = OpenAIMedia("image_edits", "images/edits", _IMAGE_MODEL)
OPENAI_IMAGE_VARIATIONS: Final[Dialect] = OpenAIMedia(
    "image_variations", "images/variations", _IMAGE_MODEL
)
OPENAI_SPEECH: Final[Dialect] = OpenAIMedia("speech", "audio/speech")
OPENAI_TRANSCRIPTIONS: Final[Dialect] = OpenAIMedia("transcriptions", "audio/transcriptions")
OPENAI_TRANSLATIONS: Final[Dialect] = OpenAIMedia("translations", "audio/translations")
MEDIA: Final = (
    *(OPENAI_IMAGES, OPENAI_IMAGE_EDITS, OPENAI_IMAGE_VARIATIONS),
    *(OPENAI_SPEECH, OPENAI_TRANSCRIPTIONS, OPENAI_TRANSLATIONS),
)
