"""Sockets: a pool that keeps a connection for ever, in a fixture."""

from __future__ import annotations

import socket

import pytest

POOL = []


@pytest.fixture
def server():
    listener = socket.create_server(("127.0.0.1", 0))
    POOL.append(listener)
    return listener


@pytest.fixture
def closed_server():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def test_whose_fixture_leaks_a_socket(server):
    assert server.getsockname()[1] > 0


def test_whose_fixture_closes_it(closed_server):
    assert closed_server.getsockname()[1] > 0
