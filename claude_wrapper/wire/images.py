"""Images as the dialects bring them, and which of them can be passed on. Pure."""

from __future__ import annotations

import base64
import binascii
import re

from claude_wrapper.errors import InvalidRequestError
from claude_wrapper.model import ImagePart

__all__ = ["check_image", "image_part"]

DATA_URL = re.compile(r"data:image/[a-z]+;base64,([A-Za-z0-9+/=\s]+)", re.IGNORECASE)

# What each of them begins with.
BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"RIFF": "image/webp",
}


def check_image(data: str, param: str) -> str:
    """The media type of an image.

    What is none is refused: the CLI would send the model a sentence in its place, and no error.

    Raises:
        InvalidRequestError: `param` is the field to name.
    """
    try:
        beginning = base64.b64decode(data[:16])
    except binascii.Error:
        beginning = b""
    for first, media_type in BEGINNINGS.items():
        if beginning.startswith(first):
            return media_type
    raise InvalidRequestError(
        f"{param}: what is in the base64 data is no png, jpeg, gif or webp image", param=param
    )


def image_part(url: str, param: str) -> ImagePart:
    """The image behind a data: or http(s) URL.

    Its type is what its data says: many clients write one type over all images, and where that is
    wrong OpenAI does not mind, but Anthropic's API refuses.

    Raises:
        InvalidRequestError: It is neither; `param` is the field to name.
    """
    match = DATA_URL.fullmatch(url)
    if match is not None:
        data = re.sub(r"\s", "", match[1])
        return ImagePart(media_type=check_image(data, param), data=data)
    if url.startswith(("https://", "http://")):
        return ImagePart(url=url)
    raise InvalidRequestError(
        f"{param}: must be an http(s) URL or data:image/png;base64,… (png, jpeg, gif or webp)",
        param=param,
    )
