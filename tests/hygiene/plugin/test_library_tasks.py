"""Tasks that a library runs for itself, and tasks that it runs for an object of the user's."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support.inner import Project

_LIBRARY = """
    import asyncio
    async def _watch():
        await asyncio.sleep(60)
    async def _serve(limit):
        await asyncio.sleep(limit)
    class Client:
        def connect(self): asyncio.get_running_loop().create_task(self._poll())
        async def _poll(self): await asyncio.sleep(60)
    _watched = None
    def use():
        global _watched
        loop = asyncio.get_running_loop()
        if _watched is not loop:
            _watched = loop
            loop.create_task(_watch())
    def use_again(): asyncio.get_running_loop().create_task(_watch())
    def serve(): asyncio.get_running_loop().create_task(_serve(60))
"""


def test_a_task_that_a_library_runs_for_no_object_is_a_note_once_a_loop(project: Project) -> None:
    """As the one with which sse-starlette waits for the end of the process: nobody can end it."""
    project.write("lib/site-packages/somelib.py", _LIBRARY)
    project.write("test_it.py", """
        import asyncio, pytest, somelib
        KEEP = []
        async def test_first(): somelib.use()
        async def test_on_another_loop(): somelib.use()
        async def test_of_an_object(): KEEP.append(somelib.Client()); KEEP[-1].connect()
        async def test_of_a_client_that_is_gone(): somelib.Client().connect()
        async def test_with_something_given(): somelib.serve()
        async def test_by_the_user(): asyncio.create_task(somelib._watch())
        async def test_grows():
            somelib.use_again()
            somelib.use_again()
        """)  # fmt: skip
    run = project.run(
        "-p", "asyncio", "-o", "asyncio_mode=auto", "--resource-hygiene-grace=0.1",
        env={"PYTHONPATH": str(project.path / "lib/site-packages")},
    )  # fmt: skip

    assert {one["nodeid"].partition("::")[2] for one in run.failing} == {
        "test_of_an_object",
        "test_of_a_client_that_is_gone",
        "test_with_something_given",
        "test_by_the_user",
        "test_grows",
    }, run.text
    assert [
        one["nodeid"].partition("::")[2] for one in run.findings if one["severity"] == "note"
    ] == [
        "test_first",
        "test_on_another_loop",
        "test_grows",  # the first of two
    ]
