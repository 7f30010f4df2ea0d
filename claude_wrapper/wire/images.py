"""Images as the dialects bring them, and which of them can be passed on. Pure."""

from __future__ import annotations

import binascii
import re

from claude_wrapper.errors import InvalidRequestError
from claude_wrapper.model import ImagePart

__all__ = ["check_image", "image_part"]

DATA_URL = re.compile(r"data:image/[a-z]+;base64,", re.IGNORECASE)
# What is needed to tell the kind of an image, and for some how large it is.
HEAD = 24


def check_image(data: str, param: str) -> str:
    """The media type of an image.

    What is none is refused: the CLI would send the model a sentence in its place, and no error.

    Args:
        data: Base64 without spaces; padding may be missing, as it often is.
        param: The field to name.

    Raises:
        InvalidRequestError: It is no base64, or what is in it is no image.
    """
    try:
        head = binascii.a2b_base64(data + "=" * (-len(data) % 4), strict_mode=True)[:HEAD]
    except ValueError as error:
        raise InvalidRequestError(
            f"{param}: this is no base64: {str(error).lower()}", param=param
        ) from None
    media_type = _media_type(head)
    if media_type is None:
        raise InvalidRequestError(
            f"{param}: what is in the base64 data is no png, jpeg, gif or webp image", param=param
        )
    return media_type


def image_part(url: str, param: str) -> ImagePart:
    """The image behind a data: or http(s) URL.

    Its type is what its data says: many clients write one type over all images, and where that is
    wrong OpenAI does not mind, but Anthropic's API refuses.

    Raises:
        InvalidRequestError: It is neither; `param` is the field to name.
    """
    match = DATA_URL.match(url)
    if match is not None:
        data = "".join(url[match.end() :].split())
        return ImagePart(media_type=check_image(data, param), data=data)
    if url.startswith(("https://", "http://")):
        return ImagePart(url=url)
    raise InvalidRequestError(
        f"{param}: must be an http(s) URL or data:image/png;base64,… (png, jpeg, gif or webp)",
        param=param,
    )


def _media_type(head: bytes) -> str | None:
    """What an image is by its first bytes, as far as the CLI reads them before it resizes one."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        has_size = head[12:16] == b"IHDR" and any(head[16:20]) and any(head[20:24])
        return "image/png" if has_size else None
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif" if any(head[6:8]) and any(head[8:10]) else None
    if head.startswith(b"RIFF"):
        return "image/webp" if head[8:12] == b"WEBP" else None
    return "image/jpeg" if head.startswith(b"\xff\xd8\xff") else None
