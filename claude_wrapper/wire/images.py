"""Images as the dialects bring them, and which of them can be passed on. Pure."""

from __future__ import annotations

import re

from claude_wrapper.errors import InvalidRequestError
from claude_wrapper.model import ImagePart

__all__ = ["MEDIA_TYPES", "image_part"]

MEDIA_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")
DATA_URL = re.compile(r"data:(image/(?:png|jpeg|gif|webp));base64,([A-Za-z0-9+/=\s]+)")


def image_part(url: str, param: str) -> ImagePart:
    """The image behind a data: or http(s) URL.

    Raises:
        InvalidRequestError: It is neither; `param` is the field to name.
    """
    match = DATA_URL.fullmatch(url)
    if match is not None:
        return ImagePart(media_type=match[1], data=re.sub(r"\s", "", match[2]))
    if url.startswith(("https://", "http://")):
        return ImagePart(url=url)
    raise InvalidRequestError(
        f"{param}: must be an http(s) URL or data:image/png;base64,… (png, jpeg, gif or webp)",
        param=param,
    )
