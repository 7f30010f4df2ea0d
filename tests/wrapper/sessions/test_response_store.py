"""Stored responses: bounded after every step, and never broken by what was removed before them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from claude_wrapper.errors import NotFoundError
from claude_wrapper.model import Message, TextPart
from claude_wrapper.sessions import ResponseStore, SessionLimits, StoredResponse

LIMITS = SessionLimits(sessions=5, size=40_000, messages=100, ttl=100.0)


class Clock:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def response(name: str, previous: str = "", *, size: int = 10, owner: str = "me") -> StoredResponse:
    messages = (Message(role="user", parts=(TextPart(text=f"{name} " + "x" * size),)),)
    return StoredResponse(
        id=name, owner=owner, document={"id": name}, messages=messages, previous=previous
    )


def names(store: ResponseStore, name: str) -> list[str]:
    messages, _ = store.conversation(name, "me")
    return [message.text.split()[0] for message in messages]


def holds(store: ResponseStore, name: str, owner: str = "me") -> bool:
    try:
        store.get(name, owner)
    except NotFoundError:
        return False
    return True


def test_a_conversation_survives_the_removal_of_its_beginning() -> None:
    store = ResponseStore(LIMITS)
    store.put(response("a"))
    store.put(response("b", "a"))
    store.put(response("c", "b"))
    before = store.stats().size
    store.delete("a", "me")
    store.delete("b", "me")
    assert names(store, "c") == ["a", "b", "c"]
    assert store.stats().size == before
    store.delete("c", "me")
    assert (store.stats().active, store.stats().size) == (0, 0)


def test_use_renews_and_looking_does_not() -> None:
    clock = Clock()
    store = ResponseStore(LIMITS, clock)
    store.put(response("used"))
    store.put(response("seen"))
    clock.now = 99.0
    names(store, "used")
    store.get("seen", "me")
    clock.now = 101.0
    assert (holds(store, "used"), holds(store, "seen")) == (True, False)
    assert store.sweep(10) == 1
    assert store.stats().expired == 1


def test_others_see_nothing() -> None:
    store = ResponseStore(LIMITS)
    store.put(response("a"))
    assert not holds(store, "a", owner="you")


def test_what_continues_something_gone_is_not_kept() -> None:
    store = ResponseStore(LIMITS)
    store.put(response("b", "gone"))
    assert not holds(store, "b")


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "continue", "delete", "use", "wait", "sweep"]),
        st.integers(0, 30),
        st.sampled_from([10, 3_000, 15_000]),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_no_sequence_of_steps_breaks_a_bound(steps: list[tuple[str, int, int]]) -> None:
    clock = Clock()
    store = ResponseStore(LIMITS, clock)
    made: list[str] = []
    for action, number, size in steps:
        target = made[number % len(made)] if made else "none"
        if action in ("put", "continue"):
            previous = target if action == "continue" and holds(store, target) else ""
            made.append(f"r{len(made)}")
            store.put(response(made[-1], previous, size=size))
        elif action == "delete" and holds(store, target):
            store.delete(target, "me")
        elif action == "use" and holds(store, target):
            assert names(store, target)[-1] == target
        elif action == "wait":
            clock.now += number * 5
        elif action == "sweep":
            store.sweep(number)
        stats = store.stats()
        assert stats.active <= LIMITS.sessions
        assert 0 <= stats.size <= LIMITS.size
    for name in made:
        if holds(store, name):
            store.delete(name, "me")
    store.sweep(len(made))
    clock.now += LIMITS.ttl + 1
    store.sweep(len(made))
    assert (store.stats().active, store.stats().size) == (0, 0)
