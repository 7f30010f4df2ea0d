"""Images in data: URLs, as clients write them."""

from __future__ import annotations

import base64

import pytest

from claude_wrapper.errors import InvalidRequestError
from claude_wrapper.wire.images import check_image, image_part

HEAD = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
PNG = base64.b64encode(HEAD + b"\0\0\0\1\0\0\0\1 and so on").decode()
JPEG = base64.b64encode(b"\xff\xd8\xff and so on").decode()
GIF = base64.b64encode(b"GIF89a\1\0\1\0 and so on").decode()
WEBP = base64.b64encode(b"RIFF\x1a\0\0\0WEBPVP8L and so on").decode()


def in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    ("url", "media_type"),
    [
        (f"data:image/png;base64,{PNG}", "image/png"),
        (f"data:image/jpeg;base64,{PNG}", "image/png"),
        (f"data:image/jpg;base64,{JPEG}", "image/jpeg"),
        (f"data:image/png;base64,{GIF}", "image/gif"),
        (f"data:image/png;base64,{WEBP}", "image/webp"),
        (f"data:image/png;base64,{PNG.rstrip('=')}", "image/png"),
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


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (PNG + "A", "is no base64"),
        (PNG + "===", "is no base64"),
        (f"{PNG[:8]}=={PNG[8:]}", "is no base64"),
        (f"{PNG[:8]}-_{PNG[8:]}", "is no base64"),
        ("", "is no png"),
        (in_base64(HEAD[:8]), "is no png"),
        (in_base64(HEAD[:8] + b"x" * 500), "is no png"),
        (in_base64(HEAD + b"\0\0\0\0\0\0\0\1"), "is no png"),
        (in_base64(b"GIF89a"), "is no png"),
        (in_base64(b"RIFF\x1a\0\0\0WAVEfmt  and so on"), "is no png"),
    ],
)
def test_what_the_cli_would_put_a_sentence_in_the_place_of_is_refused(
    data: str, words: str
) -> None:
    """Seen with CLI 2.1.330: the model is told so, and the client gets an answer without its image."""
    with pytest.raises(InvalidRequestError, match=words):
        check_image(data, "p")
    with pytest.raises(InvalidRequestError):
        image_part(f"data:image/png;base64,{data}", "p")
