"""The table of settings for the documentation, made from the settings themselves.

`python -m claude_wrapper.settings.docs docs/wrapper.md` puts it between the two marks in a file.
"""

from __future__ import annotations

import sys
from pathlib import Path

from claude_wrapper.errors import SettingsError
from claude_wrapper.settings.table import OPTIONS, Option

__all__ = ["refreshed", "settings_table"]

BEGIN = "<!-- generated: settings -->\n"
END = "<!-- end -->\n"


def settings_table() -> str:
    """One row for each setting, in the order of the table in code."""
    head = "| variable | flag | default | meaning |\n| --- | --- | --- | --- |\n"
    return head + "".join(map(_row, OPTIONS))


def refreshed(text: str) -> str:
    """The text with the current table between the marks.

    Raises:
        SettingsError: The marks are missing.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SettingsError(f"the text needs the lines {BEGIN.strip()} and {END.strip()}")
    return f"{before}{BEGIN}{settings_table()}{END}{after}"


def _row(option: Option) -> str:
    flag = f"`{option.flag}`"
    if option.secret:
        flag = "`--api-key`, `-k`: see [keys](#keys)" if option.name == "api_key" else "none"
    short = f", `{option.short}`" if option.short else ""
    default = f"`{option.default}`" if option.default else ""
    unit = f" In {option.unit}." if option.unit else ""
    aliases = ", ".join(f"`{name}`" for name in option.aliases)
    also = f" Also read: {aliases}." if aliases else ""
    return f"| `{option.variable}` | {flag}{short} | {default} | {option.help}{unit}{also} |\n"


def main() -> None:
    """Refresh the files named on the command line."""
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(refreshed(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
