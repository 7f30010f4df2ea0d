"""Which kinds a list of words stands for, wherever it is written."""

from __future__ import annotations

import pytest

from pytest_resource_hygiene.kind_choice import choose_kinds, named_kinds

_KNOWN = frozenset({"fds", "sockets", "threads", "memory"})
_DEFAULT = _KNOWN - {"memory"}


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("", _DEFAULT),
        (" , ", _DEFAULT),
        ("default", _DEFAULT),
        ("all", _KNOWN),
        ("fds", {"fds"}),
        (" fds , sockets ", {"fds", "sockets"}),
        ("-fds", _DEFAULT - {"fds"}),
        ("+memory", _KNOWN),
        ("+memory,-fds", _KNOWN - {"fds"}),
        ("default,memory", _KNOWN),
        ("all,-fds", _KNOWN - {"fds"}),
        ("fds,-fds", set()),
    ],
)
def test_words_stand_for_kinds(text: str, chosen: set[str]) -> None:
    """A list that begins with a sign changes the default; any other begins with nothing."""
    assert choose_kinds(text, _DEFAULT, _KNOWN) == chosen


@pytest.mark.parametrize("text", ["thread", "fds,+thread", "-thread"])
def test_an_unknown_kind_is_named_with_what_is_valid(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"unknown kind 'thread'\. Kinds: fds, .*'default' and 'all'"
    ):
        choose_kinds(text, _DEFAULT, _KNOWN)


def test_a_kind_is_named_where_its_own_name_asks_for_it() -> None:
    assert named_kinds("all,+fds,sockets,-memory,default") == {"fds", "sockets"}
