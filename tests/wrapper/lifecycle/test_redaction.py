"""What must not be read by others, in lines of a log and in what the CLI has printed."""

from __future__ import annotations

import pytest

from claude_wrapper.lifecycle.redaction import redacted, secrets_in


def test_values_of_variables_that_name_a_secret_are_known() -> None:
    found = secrets_in(
        {"MY_API_KEY": "0123456789", "GH_TOKEN": "abcdefgh", "A_KEY": "1", "LANG": "en_GB.UTF-8"}
    )
    assert found == ("0123456789", "abcdefgh")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("auth failed for 0123456789!", "auth failed for [redacted]!"),
        ("key sk-ant-abcd0123456789", "key sk-ant-abcd[redacted]"),
        ("Authorization: Bearer abc", "Authorization: Bearer [redacted]"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_secrets_are_blanked(text: str, left: str) -> None:
    assert redacted(text, ["0123456789"]) == left
