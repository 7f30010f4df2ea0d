"""The same tests of the server that takes away what it added: nothing is reported."""

from __future__ import annotations

from components_fixed import Component, Server


def test_nothing_is_started():
    assert not Component("metrics").is_running


def test_one_component_starts_and_stops():
    component = Component("metrics")
    component.start()
    assert component.is_running
    component.stop()
    assert not component.is_running


def test_all_21_components_start_and_stop():
    server = Server()
    server.start()
    server.stop()
    assert not any(component.is_running for component in server.components)
