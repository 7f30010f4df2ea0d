"""The key that was asked for on the command line: given there, or made and shown once."""

from __future__ import annotations

import re
import secrets
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from claude_wrapper.errors import SettingsError

if TYPE_CHECKING:
    import argparse

__all__ = ["ChosenKey", "chosen_key"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenKey:
    """A key from the command line.

    Attributes:
        text: The key; None when nothing was said, so that the other settings count.
        is_new: It was made here, and nobody knows it yet.
    """

    text: str | None
    is_new: bool

    def __repr__(self) -> str:
        """Never shows the key."""
        return f"ChosenKey(is_new={self.is_new})"

    def show(self) -> None:
        """Say a new key, once; call it when the key is in force."""
        if self.is_new:
            sys.stdout.write(f"key (shown once): {self.text}\n")
            sys.stdout.flush()


def chosen_key(arguments: argparse.Namespace) -> ChosenKey:
    """What `-k`, `--api-key` and `--generate-key` say together.

    Raises:
        SettingsError: They contradict each other, or a port stands where a key would.
    """
    given: str | None = arguments.api_key
    if given and arguments.generate_key:
        raise SettingsError("a key is given and --generate-key makes one; use one of them")
    if given and re.fullmatch(r"[0-9]{1,5}", given):
        raise SettingsError(
            f"-k {given}: a key, or a port? write --port {given}, or use a longer key"
        )
    if given:
        sys.stderr.write(
            "claude-wrapper: whoever can list the processes of this machine can read this key; "
            "better set CLAUDE_WRAPPER_API_KEY, or use --api-key-file\n"
        )
        return ChosenKey(text=given, is_new=False)
    if given is None and not arguments.generate_key:
        return ChosenKey(text=None, is_new=False)
    return ChosenKey(text=f"cw-{secrets.token_urlsafe(32)}", is_new=True)
