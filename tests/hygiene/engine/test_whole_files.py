"""A file is written whole or not at all."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from pytest_resource_hygiene.whole_files import write_whole


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a report would be worse than yesterday's."""

    def refuse(_fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    file = tmp_path / "report.json"
    write_whole(file, "yesterday")
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="space"):
        write_whole(file, "today")

    assert file.read_text() == "yesterday"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.skipif(sys.platform == "win32", reason="links and modes")
def test_links_and_modes_stay(tmp_path: Path) -> None:
    """A new file has the mode that any has, one that is there keeps its own."""
    file, link, other = (tmp_path / name for name in ("file", "link", "other"))
    file.write_text("before")
    file.chmod(0o640)
    link.symlink_to(file)
    other.write_text("")

    write_whole(link, "after")
    write_whole(tmp_path / "new" / "file", "\udcff")

    assert link.is_symlink()
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("after", 0o640)
    assert (tmp_path / "new" / "file").read_bytes() == b"\\udcff"
    assert (tmp_path / "new" / "file").stat().st_mode == other.stat().st_mode


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full")
def test_a_device_is_written_to_as_it_is() -> None:
    """It must not become a file."""
    write_whole(Path("/dev/null"), "text")
    with pytest.raises(OSError, match="space"):
        write_whole(Path("/dev/full"), "text")

    assert not Path("/dev/null").is_file()
