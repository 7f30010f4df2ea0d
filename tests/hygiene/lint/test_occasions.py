"""What happens once in a process, or in a process of its own, and is no leak therefore."""

from __future__ import annotations

import pytest
from hygiene.lint.checked import codes

_SIGNAL = "signal.signal(15, print)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            f"def work():\n    {_SIGNAL}\n    os.execv('a', [])\n", [], id="becomes-another"
        ),
        pytest.param(f"def work():\n    {_SIGNAL}\n    os.getpid()\n", ["RH001"], id="stays"),
        pytest.param(
            f"class Child(mp.Process):\n    def run(self):\n        {_SIGNAL}\n", [], id="run"
        ),
        pytest.param(
            f"class Child(mp.Thing):\n    def run(self):\n        {_SIGNAL}\n",
            ["RH001"],
            id="no-child",
        ),
        pytest.param(
            f"def work():\n    {_SIGNAL}\n\ndef go():\n    mp.Process(target=work).start()\n",
            [],
            id="target-of-a-process",
        ),
        pytest.param(
            f"def work():\n    {_SIGNAL}\n\ndef go():\n    Thread(target=work).start()\n",
            ["RH001"],
            id="target-of-a-thread",
        ),
        pytest.param(
            f"def go():\n    sp.run(['a'], preexec_fn=lambda: {_SIGNAL})\n", [], id="before-exec"
        ),
        pytest.param(
            "class App:\n    def __init__(self):\n        self.setup()\n\n"
            f"    def setup(self):\n        {_SIGNAL}\n\nApp()\n",
            [],
            id="constructor-called-by-the-file",
        ),
        pytest.param(
            f"class App:\n    def setup(self):\n        {_SIGNAL}\n\napp = App()\napp.setup()\n",
            [],
            id="method-called-by-the-file",
        ),
        pytest.param(
            f"class App:\n    def setup(self):\n        {_SIGNAL}\n\napp = App()\napp.other()\n",
            ["RH001"],
            id="another-method-called-by-the-file",
        ),
        pytest.param(
            f"def work():\n    inner()\n\ndef inner():\n    work()\n    {_SIGNAL}\n\nwork()\n",
            [],
            id="functions-that-call-each-other",
        ),
        pytest.param(
            f"def outer():\n    def main():\n        {_SIGNAL}\n", ["RH001"], id="a-main-within"
        ),
    ],
)
def test_what_runs_once_or_elsewhere(text: str, expected: list[str]) -> None:
    """Each with its twin that may run again."""
    imports = "import os, signal\nimport multiprocessing as mp\nimport subprocess as sp\n\n"
    assert codes(imports + text) == expected


def test_all_of_a_main_file_is_the_program() -> None:
    """``__main__.py`` is run, not imported."""
    text = f"import signal\n\ndef work():\n    {_SIGNAL}\n"
    assert codes(text, "shop/__main__.py") == []
    assert codes(text, "shop/work.py") == ["RH001"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("if Once.made:\n            return\n        Once.made = self", []),
        ("if self.made:\n            return\n        Once.made = self", []),
        ("if self.made:\n            return\n        self.made = self", ["RH002"]),
        ("if self.a.made:\n            return\n        Once.made = self", ["RH002"]),
        ("if seen:\n            return\n        seen.append(self)", []),
        ("if self in seen:\n            return\n        seen[self] = 1", []),
        ("if other:\n            return", ["RH002"]),
        ("while other:\n            pass", ["RH002"]),
    ],
)
def test_a_guard_must_outlive_the_object(body: str, expected: list[str]) -> None:
    """What is asked is kept by the class or the module, and changed by the file."""
    text = (
        "import atexit\n\nseen = []\nother = 1\n\nclass Once:\n    made = None\n\n"
        f"    def __init__(self):\n        {body}\n        atexit.register(self.go)\n"
    )
    assert codes(text) == expected


@pytest.mark.parametrize(
    ("handler", "expected"), [("KeyError", []), ("(OSError)", ["RH002"]), ("", ["RH002"])]
)
def test_only_a_miss_is_a_miss(handler: str, expected: list[str]) -> None:
    """``except KeyError`` behind a look into a cache; any other error may come again."""
    text = (
        "import atexit\n\nmade = {}\n\ndef get(key):\n    try:\n        return made[key]\n"
        f"    except {handler}:\n        thing = open(key)\n        atexit.register(thing.close)\n"
    )
    assert codes(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "@atexit.register\ndef go(): pass\n",
        "def work():\n    with open('x') as a, b:\n        atexit.register(print)\n",
        "def work():\n    try: pass\n    except* OSError as e: pass\n    atexit.register(print)\n",
        "def work():\n    a, (b, *c) = [1, (2, 3)]\n    a[0].b = 1\n    a[0]: int\n",
        "def work():\n    x = [y for y in z if y]\n    f'{x!r}'\n    lambda a=1: a\n    yield from x\n",
    ],
)
def test_the_shapes_of_the_language_are_read(text: str) -> None:
    """Nothing is found in what is harmless, whatever it is made of."""
    assert codes("import atexit\n\n" + text) == []
