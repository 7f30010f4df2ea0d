"""The walk of the frames and the hook, called directly: what runs within a hook no tracer sees."""

from __future__ import annotations

import functools
import random
import sys
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest
from support.twins import in_python

from pytest_resource_hygiene import audit

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, ModuleType

_OWNER: ContextVar[Any] = ContextVar("owner", default=None)
_HERE = (lambda: None).__code__.co_filename


@pytest.fixture(params=["python", "as-installed"])
def twin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Each of the two versions, or twice the same where there is no other."""
    return in_python(audit, monkeypatch) if request.param == "python" else audit


def _sites(twin: ModuleType, *, stop: str = "", own: str = "") -> Any:
    ident = threading.main_thread().ident
    return twin.Sites(frozenset({stop}), own, _OWNER, ident)


def _names(stack: tuple[Any, ...]) -> list[str]:
    return [code.co_name for code in stack[::2]]


def test_a_site_is_the_stack_from_the_asker_on(twin: ModuleType) -> None:
    """With the offset of each frame's present instruction, the owner, the window, and what it was."""
    sites = _sites(twin)
    sites.window = "the window"
    token = _OWNER.set("the owner")
    try:
        stack, owner, window, parent, what = sites.site("a path", 0)
    finally:
        _OWNER.reset(token)

    assert _names(stack)[0] == "test_a_site_is_the_stack_from_the_asker_on"
    assert all(isinstance(offset, int) and offset >= 0 for offset in stack[1::2])
    assert (owner, window, parent, what) == ("the owner", "the window", None, "a path")
    assert sites.site(None, 1)[0][:1] == stack[2:3], "one frame less"
    assert sites.site(None, 0)[1] is None


def _deep(number: int, function: Callable[[], Any]) -> Any:
    return _deep(number - 1, function) if number else function()


def test_a_stack_has_its_ends(twin: ModuleType) -> None:
    """It ends before a file that ends it, after so many frames, and is empty beyond the last."""
    sites = _sites(twin)

    assert len(_deep(200, lambda: sites.site(None, 0))[0]) == 2 * 64
    assert sites.site(None, 10_000)[0] == ()
    assert _sites(twin, stop=_HERE).site(None, 0)[0] == ()


def test_frames_of_our_own_are_left_out(twin: ModuleType) -> None:
    """By the very object that their file's name is, which is faster than comparing texts."""
    ours = _deep(3, lambda: _sites(twin, own=_HERE).site(None, 0))[0]
    everything = _deep(3, lambda: _sites(twin).site(None, 0))[0]

    assert "_deep" in _names(everything)
    assert "_deep" not in _names(ours)
    assert ours, "frames behind them are there all the same"


def test_only_another_thread_is_asked_for_its_maker(twin: ModuleType) -> None:
    """The main thread has none."""
    base: Any = twin.Sites

    class Knowing(base):
        def maker_of_thread(self) -> str:
            return "the maker"

    sites: Any = Knowing(frozenset(), "", _OWNER, threading.main_thread().ident)
    found: list[Any] = []

    def ask() -> None:
        found.append(sites.site(None, 0)[3])

    ask()
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()

    assert found == [None, "the maker"]


def test_each_record_gives_another_pulse(twin: ModuleType) -> None:
    """Or nobody would see that something had happened."""
    sites = _sites(twin)
    before = sites.pulse
    sites.site(None)

    assert sites.pulse != before


def test_openings_are_those_by_a_name(twin: ModuleType) -> None:
    """A number is open already; whatever else tells of something new."""
    records: list[Any] = []
    openings = twin.Openings(_sites(twin), records.append)
    for what in ("text", b"bytes", 7, None):
        openings((what, "r", 0))

    assert [record[4] for record in records] == ["text", b"bytes", None]
    assert openings.count == 3


def test_objects_are_kept_weakly(twin: ModuleType) -> None:
    """What has no weak references is counted, for nobody can ask later whether it is still there."""

    def nothing() -> None:
        """Stand for it."""

    class Thing:
        """Has weak references."""

    records: list[Any] = []
    births = twin.Openings(_sites(twin), records.append, nothing)
    thing = Thing()
    births((thing, 1))
    births((7, 1))

    assert [record[4]() for record in records] == [thing, None]
    assert records[1][4] is nothing
    assert births.count == 1
    del thing
    assert records[0][4]() is None


class _Thing:
    """Has weak references."""


def test_while_one_thread_is_quiet_others_are_noted(twin: ModuleType) -> None:
    """A server in a thread of its own goes on while the test's loop gets time to go."""
    records: list[Any] = []
    base: Any = twin.Sites

    class Alone(base):
        def maker_of_thread(self) -> None:
            return None

    sites: Any = Alone(frozenset(), "", _OWNER, threading.main_thread().ident)
    noting = twin.Noting(lambda _thing: None, sites, records, _refuse, 10)
    noting.quiet_thread = threading.get_ident()
    mine, others = _Thing(), _Thing()
    noting(mine)
    thread = threading.Thread(target=noting, args=(others,))
    thread.start()
    thread.join()

    assert [reference() for reference, _ in records] == [others]


def test_what_is_noted_is_where_the_asker_was(twin: ModuleType) -> None:
    """The original is called first, and answers; an object is kept weakly, and not while quiet."""
    records: list[Any] = []
    asked: list[object] = []

    def original(thing: object) -> str:
        asked.append(len(records))
        return f"took {type(thing).__name__}"

    noting = twin.Noting(original, _sites(twin), records, _refuse, 10)
    thing = _Thing()
    assert noting(thing) == "took _Thing"
    noting.quiet_thread = threading.get_ident()
    noting(_Thing())
    noting.quiet_thread = 0

    ((reference, site),) = records
    assert asked == [0, 1], "noted afterwards"
    assert _names(site[0])[0] == "test_what_is_noted_is_where_the_asker_was"
    assert site[4] is None
    assert reference() is thing
    del thing
    assert reference() is None


def test_too_many_notes_are_told_each_time(twin: ModuleType) -> None:
    """Whoever is told may make room in the list, or raise the limit, or raise an error."""
    records: list[Any] = []
    noting = twin.Noting(id, _sites(twin), records, records.clear, 2)
    things = [_Thing() for _ in range(4)]
    for thing in things:
        noting(thing)
    assert [record[0]() for record in records] == things[3:]
    noting.limit = 3
    for thing in things[:3]:
        noting(thing)
    assert records == []


def test_what_cannot_be_noted_is_an_error(twin: ModuleType) -> None:
    """As is what the original raises, which notes nothing."""
    records: list[Any] = []

    def refuse() -> None:
        raise PermissionError

    with pytest.raises(TypeError, match="weak reference"):
        twin.Noting(id, _sites(twin), records, records.clear, 2)(7)
    with pytest.raises(PermissionError):
        twin.Noting(lambda _: refuse(), _sites(twin), records, records.clear, 2)(_Thing())
    assert records == []
    with pytest.raises(PermissionError):
        twin.Noting(id, _sites(twin), records, refuse, 0)(_Thing())
    assert len(records) == 1
    with pytest.raises(TypeError):
        twin.Noting(id, _sites(twin), records, refuse, 9)()


def test_what_is_noted_may_be_the_object_of_a_method(twin: ModuleType) -> None:
    """All arguments are passed on; in a class it binds, as the function does that it stands for."""
    records: list[Any] = []

    def original(thing: object, *args: int, **kwargs: int) -> object:
        return thing, args, kwargs

    noting = twin.Noting(original, _sites(twin), records, _refuse, 10)
    bound = type("Bound", (), {"method": functools.wraps(original)(noting)})
    thing = bound()
    assert thing.method(1, two=2) == (thing, (1,), {"two": 2})
    assert bound.method is noting
    assert bound.method.__name__ == "original"
    assert [record[0]() for record in records] == [thing]
    assert _names(records[0][1][0])[0] == "test_what_is_noted_may_be_the_object_of_a_method"


def test_the_hook_is_added_once_and_calls_the_latest_handlers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It cannot be removed, so handlers are replaced; an error of one is the caller's to see."""
    hooks: list[Any] = []
    monkeypatch.setattr(sys, "addaudithook", hooks.append)
    twin = in_python(audit, monkeypatch)
    heard: list[Any] = []
    twin.set_handlers({"open": lambda args: heard.append(("first", args))})
    (hook,) = hooks
    hook("open", ("a",))
    hook("import", ("b",))
    twin.set_handlers({"open": lambda args: heard.append(("second", args)), "bad": _refuse})
    hook("open", ("c",))
    with pytest.raises(PermissionError):
        hook("bad", ())
    twin.set_handlers({})
    hook("open", ("d",))

    assert heard == [("first", ("a",)), ("second", ("c",))]
    assert len(hooks) == 1


def _refuse(_args: tuple[Any, ...]) -> None:
    raise PermissionError


def _expected() -> tuple[Any, ...]:
    """What the interpreter itself tells of the caller's stack, from its caller on."""
    frame = sys._getframe(2)
    found: list[Any] = []
    while frame is not None and len(found) < 2 * 64:
        found += (frame.f_code, frame.f_lasti)
        frame = frame.f_back
    return tuple(found)


class _Compared:
    """Takes a site in whatever calls it, and keeps what the interpreter says of that place."""

    def __init__(self, sites: Any) -> None:
        self.sites = sites
        self.pairs: list[tuple[tuple[Any, ...], tuple[Any, ...]]] = []

    def __call__(self, *_: Any) -> int:
        self.pairs.append((self.sites.site(None, 1)[0], _expected()))
        return 0


def _in_a_generator(here: _Compared) -> None:
    def numbers() -> Any:
        yield here()
        yield from (here() for _ in range(2))

    assert list(numbers()) == [0, 0, 0]


def _in_a_coroutine(here: _Compared) -> None:
    async def inner() -> int:
        return here()

    async def outer() -> int:
        return await inner()

    with pytest.raises(StopIteration):
        outer().send(None)


def _in_calls_from_c(here: _Compared) -> None:
    assert sorted([2, 1], key=here) == [2, 1]
    assert list(map(functools.partial(here, 1), [1])) == [0]


def _in_other_code(here: _Compared) -> None:
    exec("class Body:\n    number = here()", {"here": here})

    class Special:
        def __getattr__(self, name: str) -> int:
            return here()

        def __len__(self) -> int:
            return here()

    assert Special().anything == len(Special()) == 0


def _in_a_thread(here: _Compared) -> None:
    thread = threading.Thread(target=here)
    thread.start()
    thread.join()


@pytest.mark.parametrize(
    "place", [_in_a_generator, _in_a_coroutine, _in_calls_from_c, _in_other_code, _in_a_thread]
)
def test_a_stack_is_that_of_the_interpreter(
    twin: ModuleType, place: Callable[[_Compared], None]
) -> None:
    """Through everything that has frames, and what lies between them in C."""

    class Known(twin.Sites):  # type: ignore[misc, name-defined]
        def maker_of_thread(self) -> None:
            return None

    here = _Compared(Known(frozenset(), "", _OWNER, threading.main_thread().ident))
    place(here)

    assert here.pairs
    for told, expected in here.pairs:
        assert told == expected


def test_a_stack_ends_at_a_file_however_many_there_are(twin: ModuleType) -> None:
    """Files are remembered by a part of their address, which many share."""
    sites = _sites(twin, stop="/stop/13.py")
    scopes: list[dict[str, Any]] = [{} for _ in range(200)]
    for number, scope in enumerate(scopes):
        code = compile("def call(inner): return inner()", f"/stop/{number}.py", "exec")
        exec(code, scope)
    for _ in range(2):
        for number, scope in enumerate(scopes):
            stack, *_rest = scope["call"](lambda: sites.site(None, 0))
            names = [code.co_filename for code in stack[::2]]
            assert (len(names) == 1) is (number == 13), number
            assert names[1:2] == ([] if number == 13 else [f"/stop/{number}.py"])


def _caller(file: str) -> Any:
    """Make a function that calls the next of those that are left, from one of two lines."""
    scope: dict[str, Any] = {}
    text = """
def call(left, last):
    if not left:
        return last()
    if len(left) % 3:
        return left[0](left[1:], last)
    return (left[0](left[1:], last))
"""
    exec(compile(text, file, "exec"), scope)
    return scope["call"]


def _frames_above(stop: str, own: str) -> list[object]:
    stack: list[object] = []
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename != stop and len(stack) < 128:
        if frame.f_code.co_filename is not own:
            stack += [frame.f_code, frame.f_lasti]
        frame = frame.f_back
    return stack


def test_a_stack_is_told_from_those_that_are_nearly_the_same(twin: ModuleType) -> None:
    """One that was taken down before is given again: for the very same frames only."""
    callers = [_caller(f"/walk/{number}.py") for number in range(6)]
    own, stop = callers[3].__code__.co_filename, "/walk/5.py"
    sites = _sites(twin, stop=stop, own=own)
    choose = random.Random(7)
    ways = [choose.choices(callers, k=choose.choice((1, 2, 3, 9, 40, 90))) for _ in range(9)]
    told: list[tuple[Any, list[object]]] = []

    def compare() -> None:
        told.append((sites.site(None, 0)[0], _frames_above(stop, own)))

    for _ in range(400):
        way = list(choose.choice(ways))
        if choose.random() < 0.5:
            way[choose.randrange(len(way))] = choose.choice(callers)
        way[0](way[1:], compare)
    for stack, expected in told:
        assert list(stack[2:]) == expected[:126]
    assert len({len(stack) for stack, _ in told}) > 9, "they end in many places"


def test_something_else_is_called_unless_the_class_is_known(twin: ModuleType) -> None:
    """As a method of a class, in whatever way it is called; the set of classes may grow."""
    known: set[type] = {str}

    def original(self: Any, thing: Any) -> tuple[str, Any]:
        return "original", thing

    def otherwise(self: Any, thing: Any = None, *, word: str = "") -> tuple[str, Any]:
        return "otherwise", thing or word

    class Host:
        method = functools.wraps(original)(twin.Unless(original, otherwise, known))

    class Text(str):
        """No class that is known, though a kind of one."""

        __slots__ = ()

    host = Host()
    assert host.method("a") == Host.method(host, "a") == ("original", "a")
    assert host.method(Text("b")) == ("otherwise", "b")
    assert host.method(7) == ("otherwise", 7)
    known.add(int)
    bound = host.method
    assert bound(7) == ("original", 7)
    assert host.method(thing="a") == ("otherwise", "a")
    assert host.method("a", word="b") == ("otherwise", "a")
    assert host.method() == ("otherwise", "")
    assert bound.__name__ == "original"
    with pytest.raises(TypeError):
        host.method(1, 2)


def test_what_wraps_another_of_its_sort_stays_itself(twin: ModuleType) -> None:
    """Of two recorders the second wraps what the first has put there; names and words go over."""

    def original(thing: Any, word: str = "") -> str:
        """Say it."""
        return "original"

    noted: dict[str, list[Any]] = {"first": [], "second": []}
    called: list[str] = []
    noting: Any = original
    unless: Any = original
    for name, records in noted.items():
        noting = functools.wraps(noting)(twin.Noting(noting, _sites(twin), records, _refuse, 10))
        call = functools.partial(lambda name, *_: called.append(name), name)
        unless = functools.wraps(unless)(twin.Unless(unless, call, set()))
    thing = _Thing()

    assert noting(thing) == "original"
    assert [ref() for records in noted.values() for ref, _ in records] == [thing, thing]
    assert (noting.__name__, noting.__doc__) == ("original", "Say it.")
    unless(thing, "")
    assert called == ["second"]


# --- windows ---


def test_who_begins_has_the_window_until_his_own_end(twin: ModuleType) -> None:
    """A window that another has opened meanwhile stays open."""
    sites = _sites(twin)
    token = _OWNER.set(None)
    try:
        sites.begin("first")
        assert (sites.window, sites.begun, _OWNER.get()) == ("first", "first", "first")
        sites.window = "another"
        sites.end("first", "the session")
        assert (sites.window, _OWNER.get()) == ("another", "first")
        sites.end("another", "the session")
        assert (sites.window, sites.begun, _OWNER.get()) == ("the session", "first", None)
        assert sites.begins == 1
    finally:
        _OWNER.reset(token)


def test_an_end_in_another_thread_leaves_who_is_at_work_there(twin: ModuleType) -> None:
    sites, seen = _sites(twin), list[object]()

    def end() -> None:
        sites.begin("owner")
        sites.end("owner", "the session")
        seen.append(_OWNER.get())

    thread = threading.Thread(target=end)
    thread.start()
    thread.join()
    assert (sites.window, seen) == ("the session", ["owner"])


def test_what_passes_moves_the_pulse_and_nothing_that_lasts(twin: ModuleType) -> None:
    sites = _sites(twin)
    pulse, lasting = sites.pulse, sites.lasting

    site = sites.passing_site("what", 0)
    assert _names(site[0])[0] == "test_what_passes_moves_the_pulse_and_nothing_that_lasts"
    assert site[4] == "what"
    assert (sites.pulse != pulse, sites.lasting != lasting) == (True, False)
    sites.site("what", 0)
    assert sites.lasting != lasting
    lasting = sites.lasting
    sites.stir()
    assert sites.lasting != lasting
