"""An OpenAI-compatible server on the Claude CLI that bounds and owns everything it holds."""

from __future__ import annotations

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    # Looked up when somebody asks: until then Ctrl-C would print a traceback of the search.
    if name == "__version__":
        from importlib import metadata

        try:
            return metadata.version("pytest-resource-hygiene")
        except metadata.PackageNotFoundError:
            return "0+unknown"
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
