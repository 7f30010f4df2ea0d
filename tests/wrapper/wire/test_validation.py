"""What is wrong with a body, said so that somebody who has never seen this code can mend it."""

from __future__ import annotations

from typing import Any

import pytest

from claude_wrapper.errors import InvalidRequestError
from claude_wrapper.openai.schema import parse_request

USER = {"role": "user", "content": "x"}
AUDIO = {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}
ROLES = "valid are 'system', 'developer', 'user', 'assistant', 'tool'"


@pytest.mark.parametrize(
    ("more", "param", "words"),
    [
        ({"messages": None}, "messages", ": must be a list"),
        ({"messages": ["hi"]}, "messages.0", " is 'hi'; must be an object"),
        ({"messages": [{"content": "x"}]}, "messages.0.role", " is missing"),
        ({"messages": [{"role": "bot"}]}, "messages.0.role", f" is 'bot'; {ROLES}"),
        ({"messages": [{"role": "user"}]}, "messages.0.content", " is missing"),
        (
            {"messages": [{"role": "user", "content": [AUDIO]}]}, "messages.0.content.0.type",
            " is 'input_audio'; valid are 'text', 'image_url'",
        ),
        ({"tools": [{"type": "web_search"}]}, "tools.0.type", " is 'web_search'; must be 'function'"),
        ({"max_tokens": "5"}, "max_tokens", " is '5'; must be an integer"),
        ({"max_tokens": True}, "max_tokens", " is true; must be an integer"),
        ({"max_tokens": 0}, "max_tokens", " is 0; must be greater than or equal to 1"),
        ({"stop": {}}, "stop", ": must be a string, or must be a list"),
        ({"response_format": "text"}, "response_format", " is 'text'; must be an object"),
    ],
)  # fmt: skip
def test_the_field_its_value_and_what_is_valid_are_named(
    more: dict[str, Any], param: str, words: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse_request({"model": "sonnet", "messages": [USER], **more})
    assert caught.value.param == param
    assert caught.value.message == param + words


def test_no_more_of_a_value_is_repeated_than_anybody_reads() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse_request({"model": "sonnet", "messages": "x" * 100_000})
    assert len(caught.value.message) < 200
