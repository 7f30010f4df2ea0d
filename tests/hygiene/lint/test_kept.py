"""RH004, RH006 and RH007: what a class starts and keeps, and what it keeps for each key."""

from __future__ import annotations

import textwrap

import pytest
from hygiene.lint.checked import codes

_KEEPER = """
import asyncio, itertools, multiprocessing, subprocess, threading
import threading as t

class Plain:
    pass

class Worker(threading.Thread):
    def run(self):
        while True:
            print()

class Brief(t.Thread):
    def run(self):
        print()

class Deep(Worker):
    pass

class Keeper:
    def __init__(self, loop=None, names=()):
{body}
{rest}
"""


def keeper(body: str, rest: str = "") -> list[str]:
    """Return what is found in a class with this constructor and these further members."""
    body = textwrap.indent(textwrap.dedent(body).strip(), " " * 8)
    return codes(_KEEPER.format(body=body, rest=textwrap.indent(textwrap.dedent(rest), "    ")))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("self.it = asyncio.create_task(names.go())", ["RH004"]),
        ("self.it = loop.create_task(names.go())", ["RH004"]),
        ("self.it = asyncio.get_running_loop().create_task(names.go())", ["RH004"]),
        ("self.it = group.create_task(names.go())", []),
        ("self.it = Worker()\nself.it.start()", ["RH004"]),
        ("self.it = Deep()\nself.it.start()", ["RH004"]),
        ("self.it = Brief()\nself.it.start()", []),
        ("self.it = Plain()", []),
        ("self.it = Worker()", []),
        ("it = Worker()\nit.start()\nself.it = it", ["RH004"]),
        ("it = Worker()\nit.start()\nit.join()\nself.it = it", []),
        ("self.it = subprocess.Popen(['ls'])\nself.it = subprocess.Popen(['ls'])", ["RH004"]),
        ("self.its = {}\nself.its[1] = subprocess.Popen(['ls'])", []),
        ("other.it = subprocess.Popen(['ls'])", []),
        ("self.it: object = subprocess.Popen(['ls'])", ["RH004"]),
        ("print(it := names)\nself.it = it", []),
    ],
)
def test_what_is_kept_and_never_ended(body: str, expected: list[str]) -> None:
    """Tasks of any loop, threads by their base class and once started; by a local name as well."""
    assert keeper(body) == expected


def test_a_child_that_was_awaited_is_kept() -> None:
    """``await create_subprocess_exec()`` gives the child itself."""
    rest = "async def go(self):\n    self.child = await asyncio.create_subprocess_exec('ls')\n"
    assert keeper("pass", rest) == ["RH004"]
    assert keeper("pass", rest + "\n\n    def look(self):\n        self.child.kill()\n") == []


def test_a_method_that_is_static_keeps_nothing() -> None:
    """Its first parameter is an object of somebody else."""
    rest = "{}\ndef go(self):\n    self.child = subprocess.Popen(['ls'])\n"
    assert keeper("pass", rest.format("@staticmethod")) == []
    assert keeper("pass", rest.format("")) == ["RH004"]


_RUNS = """
def go(self):
    {body}

def other(self):
    while self.go:
        print()
"""


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("print()", []),
        ("while True:\n        print()", ["RH004"]),
        ("self.other()", ["RH004"]),
        ("self.server.serve_forever()", ["RH004"]),
        ("for one in iter(self.get, None):\n        print(one)", ["RH004"]),
        ("for one in itertools.count():\n        print(one)", ["RH004"]),
        ("for one in (1, 2):\n        print(one)", []),
    ],
)
def test_a_thread_whose_function_ends_by_itself(body: str, expected: list[str]) -> None:
    """Only one that may go on for ever needs an end."""
    start = "self.it = threading.Thread(target=self.go)\nself.it.start()"
    assert keeper(start, _RUNS.format(body=body)) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("self.it = threading.Timer(1, self.other)\nself.it.start()", ["RH004"]),
        ("self.it = threading.Timer(1, self.go)\nself.it.start()", []),
        ("self.it = asyncio.create_task(self.other())", ["RH004"]),
        ("self.it = asyncio.create_task(self.go())", []),
        ("self.it = asyncio.create_task(self.channel())", ["RH004"]),
        (
            "def inner():\n    print()\nself.it = threading.Thread(target=inner)\nself.it.start()",
            [],
        ),
        ("self.it = threading.Thread(target=names.go.on)\nself.it.start()", ["RH004"]),
        ("self.it = threading.Thread(target=self.nowhere)\nself.it.start()", ["RH004"]),
    ],
)
def test_the_function_of_each_kind_is_followed(body: str, expected: list[str]) -> None:
    """By method, by coroutine, by a function within; unknown functions may run for ever."""
    channel = "async def channel(self):\n    async for one in self.feed:\n        print(one)\n"
    assert keeper(body, _RUNS.format(body="print()") + "\n" + channel) == expected


def test_a_function_inherited_from_a_class_of_the_file_is_followed() -> None:
    """``self.go`` may be a method of the base."""
    text = """
    import threading

    class Base:
        def go(self):
            {body}

    class Keeper(Base):
        def __init__(self):
            self.it = threading.Thread(target=self.go)
            self.it.start()
    """
    assert codes(text.format(body="print()")) == []
    assert codes(text.format(body="while True: print()")) == ["RH004"]


def test_classes_that_inherit_from_each_other_are_no_endless_loop() -> None:
    """Classes of one name in two branches look so; the file is judged all the same."""
    text = """
    import threading

    class One(Two):
        pass

    class Two(One):
        def __init__(self):
            self.it = threading.Thread(target=self.go)
            self.it.start()
    """
    assert codes(text) == ["RH004"]


@pytest.mark.parametrize(
    ("stop", "expected"),
    [
        ("self.on = False", ["RH006"]),
        ("self.it.stdin.write(b'quit')", []),
        ("print(self.it)", []),
        ("if self.it: print()", []),
        ("assert self.it", []),
        ("print(1 if self.it else 2)", []),
        ("if not self.it or self.on: print()", []),
        ("del self.it.note", []),
    ],
)
def test_a_closing_method_that_has_to_do_with_it_is_trusted(stop: str, expected: list[str]) -> None:
    """Whoever speaks to it, hands it on, or asks whether it is there knows of it."""
    rest = f"def stop(self):\n    {stop}\n"
    found = keeper("self.it = subprocess.Popen(['cat'])", rest)
    assert found == expected


_TWINS = """
from collections import defaultdict

class Alerts:
    def __init__(self):
        self.active = {{}}
        self.last = {last}
        {more}

    def report(self, name):
        self.active[name] = 1
        self.last[name] = 2
        {use}

    def resolve(self, name):
        del self.active[name]
"""


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        ("pass", ["RH007"]),
        ("print(self.last[name])", ["RH007"]),
        ("print(name in self.last)", ["RH007"]),
        ("for one in self.last: print(one)", ["RH007"]),
        ("print([one for one in self.last])", ["RH007"]),
        ("print(len(self.last))", ["RH007"]),
        ("return self.last", []),
        ("tidy(self.last)", []),
        ("self.last.pop(name)", []),
        ("other.last.clear()", []),
        ("self.last = {}", []),
    ],
)
def test_a_mapping_that_only_grows_beside_its_twin(use: str, expected: list[str]) -> None:
    """Reading keeps it as it is; whoever it is handed to may shrink it."""
    assert codes(_TWINS.format(last="{}", more="", use=use)) == expected


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ("dict()", ["RH007"]),
        ("defaultdict(int)", ["RH007"]),
        ("{1: 2}", []),
        ("names", []),
    ],
)
def test_only_what_begins_empty_is_such_a_mapping(last: str, expected: list[str]) -> None:
    """One that begins with entries, or comes from elsewhere, is not for the keys alone."""
    assert codes(_TWINS.format(last=last, more="", use="pass")) == expected


def test_keys_that_differ_make_no_twins() -> None:
    """Each mapping has a life of its own."""
    text = _TWINS.format(last="{}", more="", use="pass").replace("self.last[name]", "self.last[1]")
    assert codes(text) == []
