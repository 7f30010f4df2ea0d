"""Images as the dialects bring them, and which of them can be passed on. Pure."""

from __future__ import annotations

import base64
import binascii
import re

from claude_wrapper.errors import InvalidRequestError
from claude_wrapper.model import ImagePart

__all__ = ["MEDIA_TYPES", "check_image", "image_part"]

MEDIA_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")
DATA_URL = re.compile(r"data:(image/(?:png|jpeg|gif|webp));base64,([A-Za-z0-9+/=\s]+)")

# What png, jpeg, gif and webp begin with.
BEGINNINGS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"RIFF")


def check_image(data: str, param: str) -> None:
    """Refuse what is no image: the CLI would send the model a sentence in its place, and no error.

    Raises:
        InvalidRequestError: `param` is the field to name.
    """
    try:
        beginning = base64.b64decode(data[:16])
    except binascii.Error:
        beginning = b""
    if not beginning.startswith(BEGINNINGS):
        raise InvalidRequestError(
            f"{param}: what is in the base64 data is no png, jpeg, gif or webp image", param=param
        )


def image_part(url: str, param: str) -> ImagePart:
    """The image behind a data: or http(s) URL.

    Raises:
        InvalidRequestError: It is neither; `param` is the field to name.
    """
    match = DATA_URL.fullmatch(url)
    if match is not None:
        data = re.sub(r"\s", "", match[2])
        check_image(data, param)
        return ImagePart(media_type=match[1], data=data)
    if url.startswith(("https://", "http://")):
        return ImagePart(url=url)
    raise InvalidRequestError(
        f"{param}: must be an http(s) URL or data:image/png;base64,… (png, jpeg, gif or webp)",
        param=param,
    )
