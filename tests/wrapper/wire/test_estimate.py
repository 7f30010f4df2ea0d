"""The estimate of input tokens: near enough, and bounded in what it reads."""

from __future__ import annotations

import re

import pytest

from claude_wrapper.anthropic import estimate
from claude_wrapper.anthropic.estimate import MOST_READ, estimate_tokens
from claude_wrapper.model import Message, TextPart

PROSE = "lorem ipsum dolor sit amet, consectetur {x} 12345 日本 "


def said(text: str, times: int = 1) -> list[Message]:
    return [Message(role="user", parts=(TextPart(text=text),))] * times


@pytest.mark.parametrize("copies", [20_000, 100_000])
def test_a_long_text_counts_as_much_as_its_pieces(copies: int) -> None:
    one = estimate_tokens("", said(PROSE)) - estimate_tokens("", said(""))
    whole = estimate_tokens("", said(PROSE * copies))
    assert whole == pytest.approx(one * copies, rel=0.03)
    pieces = estimate_tokens("", said(PROSE * 10, copies // 10)) - 4 * (copies // 10)
    assert pieces == pytest.approx(one * copies, rel=0.1)


@pytest.mark.parametrize(("length", "times"), [(10_000_000, 1), (10_000, 1000), (900, 10_000)])
def test_of_a_huge_request_only_samples_are_read(
    monkeypatch: pytest.MonkeyPatch, length: int, times: int
) -> None:
    """While it reads, nothing else runs: 32 MiB took two and a half seconds."""
    read = []

    class Counted:
        def findall(self, text: str) -> list[str]:
            read.append(len(text))
            return re.findall(r"\S+", text)

    monkeypatch.setattr(estimate, "WORD", Counted())
    estimate_tokens("", said("x " * (length // 2), times))
    assert sum(read) <= MOST_READ + estimate.LEAST_READ * times
