"""Images in data: URLs, as clients write them."""

from __future__ import annotations

import base64

import pytest

from claude_wrapper.errors import InvalidRequestError
from claude_wrapper.wire.images import image_part

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n and so on").decode()
JPEG = base64.b64encode(b"\xff\xd8\xff and so on").decode()


@pytest.mark.parametrize(
    ("url", "media_type"),
    [
        (f"data:image/png;base64,{PNG}", "image/png"),
        (f"data:image/jpeg;base64,{PNG}", "image/png"),
        (f"data:image/jpg;base64,{JPEG}", "image/jpeg"),
        (f"DATA:image/JPEG;base64,{JPEG[:8]}\n{JPEG[8:]}", "image/jpeg"),
    ],
)
def test_the_data_says_what_it_is_whatever_the_client_says(url: str, media_type: str) -> None:
    part = image_part(url, "x")
    assert part.media_type == media_type
    assert "\n" not in part.data


@pytest.mark.parametrize(
    "url",
    [
        "data:image/svg;base64,PHN2Zz4=",
        "data:image/png;base64,AAAA",
        "data:text/plain;base64,AAAA",
        f"data:image/png,{PNG}",
        "file:///etc/passwd",
        "",
    ],
)
def test_what_is_no_image_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        image_part(url, "messages.0")
    assert caught.value.param == "messages.0"
