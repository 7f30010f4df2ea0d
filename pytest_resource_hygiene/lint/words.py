"""Names by which people say that something ends, and tests for them. English, not any one package's."""

from __future__ import annotations

import re

__all__ = ["closes", "ends_an_object", "is_closing_name", "remembers", "words_of"]

_CLOSING = frozenset(
    {
        *("abort", "aclose", "aexit", "cancel", "clean", "cleanup", "clear", "close", "closed"),
        *("deactivate", "del", "destroy", "detach", "disable", "disconnect", "dispose", "end"),
        *("exit", "finalize", "finish", "halt", "join", "kill", "leave", "quit", "release"),
        *("remove", "reset", "restore", "shut", "shutdown", "stop", "tear", "teardown"),
        *("terminate", "uninstall", "unload", "unregister", "unsubscribe", "wait"),
    }
)
_ENDING_CALLS = frozenset(
    {
        *(
            "poll",
            "abort",
            "aclose",
            "cancel",
            "close",
            "communicate",
            "destroy",
            "disconnect",
            "exit",
        ),
        *("finish", "halt", "join", "kill", "quit", "release", "send_signal", "shutdown"),
        *("shutdown_now", "stop", "terminate", "wait", "wait_closed"),
    }
)
_REMEMBERING = frozenset(
    {
        *("before", "default", "former", "initial", "old", "orig", "original", "prev"),
        *("previous", "saved"),
    }
)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def words_of(name: str) -> set[str]:
    """Return the words of a name in snake_case or camelCase, in lower case."""
    return {word.lower() for word in _WORD.findall(name)}


def is_closing_name(name: str) -> bool:
    """Tell whether a function of this name ends something: ``stop``, ``__exit__``, ``shut_down``."""
    return not _CLOSING.isdisjoint(words_of(name))


_END_METHODS = {
    *("__aexit__", "__exit__", "aclose", "cleanup", "close", "destroy", "disconnect", "dispose"),
    *("shutdown", "stop", "teardown", "terminate"),
}


def ends_an_object(name: str) -> bool:
    """Tell whether a method of exactly this name ends the whole object."""
    return name in _END_METHODS


def closes(name: str) -> bool:
    """Tell whether calling this method of a thread, a timer, a process or a pool ends it."""
    return name in _ENDING_CALLS or not _CLOSING.isdisjoint(words_of(name))


def remembers(name: str) -> bool:
    """Tell whether a variable of this name holds what was there before."""
    return not _REMEMBERING.isdisjoint(words_of(name))
