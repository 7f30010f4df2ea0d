"""Fixtures for all tests."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("support.matrix")

from support.inner import Project  # noqa: E402

pytest_plugins = ["pytester"]


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    """A project of its own, whose pytest runs in a process of its own."""
    return Project(pytester.path)


@pytest.fixture(scope="module")
def module_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose one run serves all tests of a module."""
    return Project(tmp_path_factory.mktemp("project"))
