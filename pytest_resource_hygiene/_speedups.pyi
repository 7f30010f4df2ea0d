from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

def set_handlers(handlers: dict[str, Callable[[tuple[Any, ...]], None]], /) -> None: ...

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

def set_subreaper(value: int, /) -> int | None: ...
