"""Rules that the dialects share."""

from __future__ import annotations

import pytest

from claude_wrapper.errors import InvalidRequestError
from claude_wrapper.wire.rules import check_session_id, sampling


@pytest.mark.parametrize(
    ("temperature", "top_p", "body", "unmet"),
    [
        (None, None, {}, []),
        (0, None, {"temperature": 0}, []),
        (None, 0.5, {"top_p": 0.5}, []),
        (1.5, None, {"temperature": 1}, ["temperature"]),
        (1, 1, {"temperature": 1}, []),
        (0.2, 1, {"temperature": 0.2}, []),
        (1, 0.9, {"top_p": 0.9}, []),
        (2, 0.9, {"top_p": 0.9}, ["temperature"]),
        (0.2, 0.9, {"temperature": 0.2}, ["top_p"]),
    ],
)
def test_of_temperature_and_top_p_one_is_carried(
    temperature: float | None, top_p: float | None, body: dict[str, float], unmet: list[str]
) -> None:
    """Newer models refuse both together, and clients send a 1 for what they do not mean."""
    assert sampling(temperature, top_p) == (body, unmet)


@pytest.mark.parametrize("name", [".", "..", "stats", "", "a b", "a/b", "é", "x" * 201])
def test_an_id_that_no_path_could_name_is_refused(name: str) -> None:
    """Clients and proxies take dots for folders: `/v1/sessions/..` would arrive as `/v1`."""
    with pytest.raises(InvalidRequestError):
        check_session_id(name, "session_id")


def test_other_dots_are_fine() -> None:
    check_session_id("...", "session_id")
    check_session_id("a.b", "session_id")
