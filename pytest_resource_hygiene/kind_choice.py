"""Which kinds to watch, as people write it: ``threads,sockets``, ``all``, ``+environment,-fds``."""

from __future__ import annotations

__all__ = ["choose_kinds", "named_kinds"]


def choose_kinds(text: str, default: frozenset[str], known: frozenset[str]) -> frozenset[str]:
    """Return the kinds that a list of words stands for.

    Args:
        text: names, ``default`` and ``all``, comma-separated; each after the first may, and the
            first of a change to the default does, begin with ``+`` or ``-``.
        default: what ``default``, and a list that begins with a sign, starts from.
        known: all kinds that there are.

    Raises:
        ValueError: an unknown kind; says which, and what is valid.
    """
    words = _words(text)
    chosen: set[str] = set()
    if not words or words[0].startswith(("+", "-")):
        chosen = set(default)
    for word in words:
        name = word.lstrip("+-")
        if name in {"default", "all"}:
            chosen |= default if name == "default" else known
        elif name not in known:
            raise ValueError(
                f"unknown kind {name!r}. Kinds: {', '.join(sorted(known))}; also 'default' and 'all'."
            )
        elif word.startswith("-"):
            chosen.discard(name)
        else:
            chosen.add(name)
    return frozenset(chosen)


def named_kinds(text: str) -> frozenset[str]:
    """Return the words that ask for one kind by its name."""
    words = {word.lstrip("+") for word in _words(text) if not word.startswith("-")}
    return frozenset(words - {"default", "all"})


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
