"""Each rule finds its bad example and not its good one; imports, guards and programs are understood."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hygiene.lint.checked import codes

from pytest_resource_hygiene.lint.check import check_text, known_codes
from pytest_resource_hygiene.lint.rules import all_rules

if TYPE_CHECKING:
    from pytest_resource_hygiene.lint.rule import Rule

RULES = [pytest.param(rule, id=rule.code) for rule in all_rules()]


@pytest.mark.parametrize("rule", RULES)
def test_the_bad_example_is_found_once_and_the_good_one_is_not(rule: Rule) -> None:
    """By this rule and by no other."""
    assert codes(rule.bad) == [rule.code]
    assert codes(rule.good) == []


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_says_everything_about_itself(rule: Rule) -> None:
    """What, why, and how to mend it; its message says how to mend it as well."""
    assert rule.name
    assert all(text.endswith(".") for text in (rule.what, rule.why, rule.mend))
    (finding,) = check_text(rule.bad, "bad.py", known_codes()).findings
    assert any(
        word in finding.message for word in (": call", ": keep", ": add", "let it", "delete")
    )


_CLASS = """
{imports}

class Server:
    def __init__(self):
        {call}

    def on_signal(self, *args):
        pass
"""


@pytest.mark.parametrize(
    ("imports", "call", "code"),
    [
        ("import signal as s", "s.signal(s.SIGTERM, self.on_signal)", "RH001"),
        ("from signal import SIGTERM, signal as on", "on(SIGTERM, self.on_signal)", "RH001"),
        ("import asyncio", "asyncio.get_running_loop().add_signal_handler(2, print)", "RH001"),
        ("from atexit import register", "register(self.on_signal)", "RH002"),
        ("import logging", "logging.getLogger('a').addHandler(logging.StreamHandler())", "RH003"),
        ("from app import sent", "sent.connect(self.on_signal, weak=False)", "RH003"),
        ("import gc", "gc.callbacks.append(self.on_signal)", "RH003"),
        ("from subprocess import Popen", "self.child = Popen(['ls'])", "RH004"),
        ("import tracemalloc", "tracemalloc.start()", "RH005"),
        ("import gc", "gc.disable()", "RH005"),
        ("from unittest import mock", "mock.patch('a.b').start()", "RH005"),
    ],
)
def test_names_are_followed_through_imports(imports: str, call: str, code: str) -> None:
    """However it was imported, it is the same function."""
    assert codes(_CLASS.format(imports=imports, call=call)) == [code]


@pytest.mark.parametrize(
    ("imports", "call"),
    [
        ("from shop import signal", "signal.signal(15, self.on_signal)"),
        ("import signal", "signal.signal(signal.SIGPIPE, signal.SIG_DFL)"),
        ("import logging", "logging.getLogger('a').addHandler(logging.NullHandler())"),
        ("from app import sent", "sent.connect(self.on_signal)"),
        ("import gc", "gc.collect()"),
        ("import signal", "signal.alarm(0)"),
    ],
)
def test_what_only_looks_like_it_is_left_alone(imports: str, call: str) -> None:
    """Names of others, defaults, and what holds nothing."""
    assert codes(_CLASS.format(imports=imports, call=call)) == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "import signal\n\ndef work():\n    signal.signal(15, print)\n\n"
            "if __name__ == '__main__':\n    work()\n",
            id="called-under-the-main-guard",
        ),
        pytest.param(
            "import signal\n\ndef main():\n    signal.signal(15, print)\n", id="function-main"
        ),
        pytest.param(
            "import click, signal\n\n@click.command()\ndef serve():\n    signal.signal(15, print)\n",
            id="command-of-click",
        ),
        pytest.param("import signal\nsignal.signal(15, print)\n", id="top-of-the-module"),
        pytest.param(
            "import multiprocessing, signal\n\ndef work():\n    signal.signal(15, print)\n\n"
            "def start():\n    multiprocessing.Pool(2, initializer=work).close()\n",
            id="in-a-child",
        ),
        pytest.param(
            "import asyncio\n\nasync def serve():\n    asyncio.get_running_loop()"
            ".add_signal_handler(2, print)\n\ndef start():\n    asyncio.run(serve())\n",
            id="the-loop-ends-with-it",
        ),
        pytest.param(
            "import atexit\n\n_made = None\n\ndef get():\n    global _made\n    if _made is None:\n"
            "        _made = open('x')\n        atexit.register(_made.close)\n    return _made\n",
            id="guarded-by-a-global",
        ),
        pytest.param(
            "import atexit, functools\n\n@functools.cache\ndef get():\n    made = open('x')\n"
            "    atexit.register(made.close)\n    return made\n",
            id="cached",
        ),
        pytest.param(
            "import atexit\n\n_pools = {}\n\ndef get(key):\n    try:\n        return _pools[key]\n"
            "    except KeyError:\n        pool = _pools[key] = open(key)\n"
            "        atexit.register(pool.close)\n        return pool\n",
            id="cache-miss",
        ),
        pytest.param(
            "import logging\n\ndef get(name):\n    log = logging.getLogger(name)\n"
            "    if not log.handlers:\n        log.addHandler(logging.StreamHandler())\n    return log\n",
            id="looked-for-handlers",
        ),
        pytest.param(
            "import signal\n\ndef on(number, handler):\n    signal.signal(number, handler)\n",
            id="wrapper",
        ),
    ],
)
def test_what_happens_once_for_the_program_is_no_leak(text: str) -> None:
    """Program starts, guards, caches and children."""
    assert codes(text) == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "import signal\n\ndef work():\n    old = signal.signal(15, print)\n    try:\n"
            "        pass\n    finally:\n        signal.signal(15, old)\n",
            id="finally",
        ),
        pytest.param(
            "import signal\n\ndef work(stack):\n    old = signal.getsignal(15)\n"
            "    stack.callback(signal.signal, 15, old)\n    signal.signal(15, print)\n",
            id="exit-stack",
        ),
        pytest.param(
            "import signal\n\ndef fixture():\n    was = signal.signal(15, print)\n    yield\n"
            "    signal.signal(15, was)\n",
            id="behind-a-yield",
        ),
        pytest.param(
            "import signal\n\nclass Test:\n    def setUp(self):\n"
            "        self.was = {n: signal.signal(n, print) for n in (2, 15)}\n\n"
            "    def put_back(self):\n        for n, handler in self.was.items():\n"
            "            signal.signal(n, handler)\n",
            id="kept-in-a-mapping",
        ),
        pytest.param(
            "import atexit\n\nclass Base:\n    def close(self):\n        atexit.unregister(self.go)\n\n"
            "class Cache(Base):\n    def __init__(self):\n        atexit.register(self.go)\n",
            id="in-the-base-class",
        ),
        pytest.param(
            "import threading\n\nclass Once:\n    def __init__(self):\n"
            "        self.thread = threading.Thread(target=self.run)\n        self.thread.start()\n\n"
            "    def run(self):\n        print('ends by itself')\n",
            id="a-thread-that-ends",
        ),
        pytest.param(
            "import subprocess\n\nclass Child:\n    def __init__(self, group):\n"
            "        self.child = subprocess.Popen(['ls'])\n        group.add(self.child)\n",
            id="handed-on",
        ),
    ],
)
def test_what_is_taken_back_is_no_leak(text: str) -> None:
    """In a `finally`, by a stack, behind a `yield`, by the class or its base."""
    assert codes(text) == []


def test_another_class_of_the_file_does_not_put_it_back() -> None:
    """A removal counts for its own class only."""
    text = """
    import atexit

    class One:
        def __init__(self):
            atexit.register(self.go)

    class Other:
        def close(self):
            atexit.unregister(self.go)
    """
    assert codes(text) == ["RH002"]


def test_several_signals_in_one_function_are_one_finding() -> None:
    """A loop over signals, or a list of calls, has one place to be mended."""
    calls = "\n".join(f"        signal.signal({number}, self.go)" for number in (1, 2, 15))
    assert codes(f"import signal\n\nclass A:\n    def __init__(self):\n{calls}\n") == ["RH001"]


_TWINS = """
class Alerts:
    def __init__(self):
        self.active = {{}}
        self.last = {{}}

    def report(self, name):
        {guard}
        self.active[name] = 1
        self.last[name] = 2

    def resolve(self, name):
        self.active.pop(name, None)
"""


def test_a_mapping_with_a_bound_may_keep_its_keys() -> None:
    """Its size is compared with something; without that it only grows."""
    assert codes(_TWINS.format(guard="pass")) == ["RH007"]
    assert codes(_TWINS.format(guard="assert len(self.last) < 500")) == []


@pytest.mark.parametrize(
    ("signature", "expected"),
    [("self", ["RH006"]), ("self, names", []), ("self, now=True", ["RH006"])],
)
def test_a_method_that_must_be_told_what_to_end_closes_no_object(
    signature: str, expected: list[str]
) -> None:
    """``terminate(names)`` ends what is named, ``terminate()`` ends the object."""
    text = f"""
    from concurrent.futures import ThreadPoolExecutor

    class Nodes:
        def __init__(self):
            self.pool = ThreadPoolExecutor()

        def terminate({signature}):
            print()
    """
    assert codes(text) == expected
