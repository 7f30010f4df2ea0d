from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

INTERFACE: int

def set_handlers(handlers: dict[str, Callable[[tuple[Any, ...]], None]], /) -> None: ...
def descriptors(path: str, /) -> list[tuple[int, int, int, int]]: ...

class Sites:
    owner_var: ContextVar[Any]
    window: Any
    pulse: object

    def __init__(
        self,
        stop_files: frozenset[str],
        own_file: str,
        owner_var: ContextVar[Any],
        main_ident: int,
        /,
    ) -> None: ...
    def site(
        self, what: Any, depth: int = ..., /
    ) -> tuple[tuple[Any, ...], Any, Any, Any, Any]: ...

class Openings:
    count: int

    def __init__(self, sites: Sites, append: Callable[[Any], None], /) -> None: ...
    def __call__(self, args: tuple[Any, ...], /) -> None: ...

def set_subreaper(value: int, /) -> int | None: ...
