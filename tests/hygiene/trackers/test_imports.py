"""What a module opens while it is imported, though no audit event tells of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.inner import Project

_OPENS = """
import select
POLLER = select.epoll()
"""


def test_an_epoll_of_an_import_belongs_to_the_module(project: Project) -> None:
    """It is a note, with the module as its owner, and so is that of a module inside a module."""
    project.write("inner.py", _OPENS)
    project.write("outer.py", "import inner" + _OPENS)
    project.write("test_it.py", """
        import os, select
        def test_imports():
            import outer
            assert type(outer.__spec__).__mro__[1] is object
        """)  # fmt: skip
    run = project.run()

    run.assert_clean()
    assert {one["owner"]["name"] for one in run.notes} == {"inner.py", "outer.py"}
    assert {one["owner"]["type"] for one in run.notes} == {"module"}


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_epoll_beside_an_import_is_the_tests(project: Project, when: str) -> None:
    """What the test opens before or after the import, or by calling the module, is its own."""
    project.write("opens.py", _OPENS + "MORE = []\ndef more(): MORE.append(select.epoll())\n")
    own = {
        "before": "KEEP.append(select.epoll()); import opens",
        "after": "import opens; opens.more()",
    }
    project.write("test_it.py", f"import os, select\nKEEP = []\ndef test_it():\n    {own[when]}\n")
    run = project.run()

    assert run.one("test_it", kind="fds")["owner"]["type"] == "test"
    assert [one["owner"]["type"] for one in run.notes] == ["module"]


def test_a_failing_import_is_told_without_a_line_of_ours(project: Project) -> None:
    """The traceback of an import that fails is as it would be without the plugin."""
    project.write(
        "broken.py", "import select\nPOLLER = select.epoll()\nraise ImportError('broken')\n"
    )
    project.write("test_it.py", """
        import traceback
        def test_it():
            try: import broken
            except ImportError as error: lines = traceback.extract_tb(error.__traceback__)
            assert [line.name for line in lines] == ["test_it", "<module>"]
        """)  # fmt: skip
    run = project.run()

    run.assert_clean()
