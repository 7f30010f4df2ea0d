"""What may be a secret, and is never shown: reports are uploaded, and logs of CI are public."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["HIDDEN", "names_a_secret", "without_passwords", "without_secrets"]

HIDDEN = "(hidden)"
# Not PWD by itself, which is the working folder; MYSQL_PWD and the like are passwords.
_NAME = re.compile(
    "KEY|TOKEN|SECRET|PASS|CRED|AUTH|_PWD|CONN_?STR|CONNECTION_?STR|COOKIE|BEARER", re.IGNORECASE
)
_PASSWORD = re.compile(r"(://[^/:@\s]*:)[^/@\s]+@")
_OPTION = re.compile(r"--?[A-Za-z][\w.-]*")


def names_a_secret(name: str) -> bool:
    """Tell whether a variable or option of this name may have a secret for its value."""
    return _NAME.search(name) is not None


def without_passwords(text: str) -> str:
    """Return text with the passwords of addresses hidden: ``https://user:password@host``."""
    return _PASSWORD.sub(rf"\1{HIDDEN}@", text)


def without_secrets(command: Iterable[str]) -> list[str]:
    """Return a command line without passwords of addresses, and without values of telling options.

    Both ``--password=x`` (or ``PGPASSWORD=x``) and ``--password x``.
    """
    shown: list[str] = []
    hides_next = False
    for word in command:
        name, sign, value = word.partition("=")
        is_option = _OPTION.fullmatch(name) is not None
        if hides_next and not is_option:
            shown.append(HIDDEN)
        elif sign and value and "/" not in name and " " not in name and names_a_secret(name):
            shown.append(f"{name}={HIDDEN}")
        else:
            shown.append(without_passwords(word))
        hides_next = is_option and not sign and names_a_secret(name)
    return shown
