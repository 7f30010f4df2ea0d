"""An OpenAI-compatible server on the Claude CLI that bounds and owns everything it holds."""

from __future__ import annotations

from importlib import metadata

__all__ = ["__version__"]


def _version() -> str:
    try:
        return metadata.version("pytest-resource-hygiene")
    except metadata.PackageNotFoundError:
        return "0+unknown"


__version__ = _version()
