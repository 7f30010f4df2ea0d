"""Whose an entry of a baseline is, and what a run proves that leaves some of it out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.inner import Project


_ONE_NAME = """
    import unittest, pytest, helper
    @pytest.fixture
    def client(): helper.leave()
    def setup_module(): helper.leave()
    def test_fixture(client): pass
    class Test{suffix}:
        @classmethod
        def setup_class(cls): helper.leave()
        def setup_method(self): helper.leave()
        def test_it(self): pass
    class Case{suffix}(unittest.TestCase):
        @classmethod
        def setUpClass(cls): helper.leave()
        def setUp(self): helper.leave()
        def test_it(self): pass
    """


def test_a_fixture_of_the_same_name_in_another_file_is_another(project: Project) -> None:
    """Each file may have a `client` or a `setup_module`: its leaks are new, though a helper makes them."""
    project.write("helper.py", "KEEP = []\ndef leave(): KEEP.append(open(__file__))\n")
    project.write("test_one.py", _ONE_NAME.replace("{suffix}", "One"))
    project.run("--resource-hygiene-baseline=known.jsonl", "--resource-hygiene-write-baseline")
    project.write("test_two.py", _ONE_NAME.replace("{suffix}", "Two"))
    run = project.run("--resource-hygiene-baseline=known.jsonl")

    assert {one["owner"]["name"] for one in run.failing} == {
        "client", "setup_module", "setup_class", "setup_method", "setUpClass", "setUp",
    }, run.text  # fmt: skip
    assert {one["nodeid"].partition("::")[0] for one in run.failing} == {"test_two.py"}


def test_what_another_owner_leaks_by_a_line_shortens_nobodys_grace(project: Project) -> None:
    """A test whose thread ends within its grace is clean, whatever is known of the helper's line."""
    project.write("helper.py", """
        import threading
        DONE = threading.Event()
        def start(seconds): threading.Thread(target=DONE.wait, args=(seconds,), daemon=True).start()
        """)  # fmt: skip
    project.write("test_one.py", """
        import pytest, helper
        @pytest.fixture(scope="module")
        def old():
            helper.start(60)
            yield
        def test_old(old): pass
        """)  # fmt: skip
    project.write("test_two.py", """
        import pytest, helper
        @pytest.fixture
        def fresh():
            yield
            helper.start(0.2)
        def test_fixture(fresh): pass
        def test_own(): helper.start(0.2)
        """)  # fmt: skip
    arguments = ("--resource-hygiene-baseline=known.jsonl", "--resource-hygiene-grace=10")
    project.run("test_one.py", *arguments[:1], "--resource-hygiene-write-baseline")
    run = project.run(*arguments)

    assert run.outcomes == {"passed": 3}, run.text


def test_what_a_comprehension_makes_is_its_functions_on_every_python(project: Project) -> None:
    """Up to 3.11 it has a code of its own; a baseline is read on all."""
    project.write("test_it.py", """
        KEEP = []
        def test_list(): KEEP.extend([open(__file__) for _ in range(2)])
        def test_dict(): KEEP.append({n: open(__file__) for n in range(2)})
        """)  # fmt: skip
    run = project.run()

    assert [one["origin"]["function"] for one in run.failing] == ["test_list", "test_dict"]


@pytest.mark.parametrize(
    "head",
    [
        'import pytest; pytest.importorskip("no_such_extra")',
        'import pytest; pytest.skip("not here", allow_module_level=True)',
        "import unittest; raise unittest.SkipTest()",
    ],
)
def test_a_module_that_is_skipped_as_a_whole_proves_nothing(project: Project, head: str) -> None:
    """The job that has the extra would find its leaks new."""
    leaks = """
        import pytest
        KEEP = []
        @pytest.fixture(scope="module")
        def wide(): KEEP.append(open(__file__))
        def setup_module(): KEEP.append(open(__file__))
        def test_leaks(wide): KEEP.append(open(__file__))
        """
    project.write("test_one.py", leaks)
    project.write("test_extra.py", leaks)
    arguments = ("--resource-hygiene-baseline=known.jsonl",)
    project.run(*arguments, "--resource-hygiene-write-baseline")
    skipped = project.write("test_extra.py", leaks)
    skipped.write_text(f"{head}\n{skipped.read_text()}")

    assert project.run(*arguments).code == 0
    skipped.write_text("def test_other(): pass\n")
    assert project.run(*arguments).code == 1, "they are gone"
