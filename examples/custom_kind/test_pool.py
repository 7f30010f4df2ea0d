"""Tests of a project whose own resource leaks."""

from __future__ import annotations

from pool import POOL


def test_leaks_a_connection():
    POOL.borrow("billing")


def test_gives_its_connection_back():
    POOL.borrow("billing").give_back()


def test_leaks_a_subscriber():
    POOL.listeners["lent"].append(print)


def test_removes_its_subscriber():
    POOL.listeners["lent"].append(print)
    POOL.listeners["lent"].remove(print)
