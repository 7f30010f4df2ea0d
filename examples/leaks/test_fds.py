"""Descriptors: a pipe of which one end is forgotten."""

from __future__ import annotations

import os


def test_leaks_one_end_of_a_pipe():
    ends = os.pipe()
    os.close(ends[0])


def test_closes_both_ends():
    for end in os.pipe():
        os.close(end)
