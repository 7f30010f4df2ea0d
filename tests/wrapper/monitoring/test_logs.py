"""The log is bounded, redacted, written by a thread of its own, and gone when it stops."""

from __future__ import annotations

import errno
import io
import logging
import sys
import threading
from pathlib import Path

import pytest
from wrapper.support.servers import wait_until

from claude_wrapper.errors import SettingsError
from claude_wrapper.lifecycle import ResourceTracker
from claude_wrapper.monitoring.log_writers import FILE_BYTES, FileWriter
from claude_wrapper.monitoring.logs import start_logging
from claude_wrapper.monitoring.ring import LogRing

pytestmark = pytest.mark.timeout(60)

LOGGER = logging.getLogger("claude_wrapper.test")


def test_keys_in_any_form_never_reach_the_file(tmp_path: Path) -> None:
    file = tmp_path / "log"
    logs = start_logging(ResourceTracker(), "info", str(file), ("my-own-key",))
    LOGGER.info("key %s", "my-own-key")
    LOGGER.info("Authorization: Bearer abcdef123456")
    LOGGER.info("{'x-api-key': 'abcdef123456'} bearer abcdef123456")
    LOGGER.info("sk-ant-api03-abcdef123456 and sk-abcdef123456")
    LOGGER.info("Cookie: session=abcdef123456")
    try:
        int("my-own-key")
    except ValueError:
        LOGGER.exception("failed")
    logs.stop()
    text = file.read_text()
    assert "abcdef123456" not in text
    assert "my-own-key" not in text
    assert text.count("[redacted]") >= 7
    assert "with base 10: '[redacted]'" in text
    assert logs.ring.newest(100)[0].endswith("key [redacted]")


def test_everything_is_as_before_when_it_stopped(tmp_path: Path) -> None:
    loggers = [logging.getLogger(name) for name in ("claude_wrapper", "uvicorn")]
    before = [(one.level, one.propagate, list(one.handlers)) for one in loggers]
    threads = set(threading.enumerate())
    tracker = ResourceTracker()
    logs = start_logging(tracker, "debug", str(tmp_path / "log"), ())
    assert [item.name for item in tracker.list("thread")] == ["log-writer"]
    LOGGER.debug("the last line")
    logs.stop()
    logs.stop()
    assert (tmp_path / "log").read_text().endswith("the last line\n")
    assert [(one.level, one.propagate, list(one.handlers)) for one in loggers] == before
    assert set(threading.enumerate()) == threads
    assert tracker.list() == ()
    if sys.platform == "linux":
        assert str(tmp_path / "log") not in map(str, map(_target, Path("/proc/self/fd").iterdir()))
    logs.write_last(logging.INFO, "one word more")
    assert (tmp_path / "log").read_text().endswith("one word more\n")


def _target(link: Path) -> Path:
    try:
        return link.readlink()
    except OSError:
        return link


def test_the_disk_holds_at_most_five_files_of_ten_megabytes(tmp_path: Path) -> None:
    logs = start_logging(ResourceTracker(), "info", str(tmp_path / "log"), ())
    line = "x" * 9_900
    for _ in range(7_000):
        while logs.waiting > 1000:
            threading.Event().wait(0.001)
        LOGGER.info("%s", line)
    logs.stop()
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == ["log", "log.1", "log.2", "log.3", "log.4"]
    assert max(path.stat().st_size for path in files) <= FILE_BYTES
    assert logs.dropped == 0


def test_long_lines_are_cut_and_the_ring_is_bounded(tmp_path: Path) -> None:
    logs = start_logging(ResourceTracker(), "info", str(tmp_path / "log"), ())
    LOGGER.info("%s", "x" * 100_000)
    logs.stop()
    assert "more characters)" in (tmp_path / "log").read_text()
    assert len((tmp_path / "log").read_text()) < 17_000
    ring = LogRing()
    for number in range(3000):
        ring.handle(
            logging.LogRecord("a", logging.INFO, "", 0, f"{number} " + "é" * 5000, (), None)
        )
    kept = ring.newest(5000)
    assert len(kept) == 1000
    assert kept[-1].startswith("2999 ")
    assert max(len(line.encode()) for line in kept) <= 2000
    assert ring.newest(0) == []


def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--log-file .* cannot be written: No such file"):
        start_logging(ResourceTracker(), "info", str(tmp_path / "no" / "log"), ())
    assert not [t for t in threading.enumerate() if t.name == "log-writer"]


@pytest.mark.parametrize("is_moved", [True, False], ids=["moved", "removed"])
def test_a_log_that_others_rotate_is_begun_anew(tmp_path: Path, *, is_moved: bool) -> None:
    """Written on beneath its old name it would be lost, and its disk space held."""
    file, old = tmp_path / "log", tmp_path / "log-20261126"
    logs = start_logging(ResourceTracker(), "info", str(file), ())
    writer = logs._handler
    LOGGER.info("before")
    wait_until(lambda: "before" in file.read_text(), what="written")
    file.rename(old) if is_moved else file.unlink()
    LOGGER.info("after")
    logs.stop()
    assert "after" in file.read_text()
    assert "before" not in file.read_text()
    assert not is_moved or "after" not in old.read_text()
    assert writer.lost == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_lines_that_a_full_disk_does_not_take_are_counted_and_cost_one_word(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs = start_logging(ResourceTracker(), "info", "/dev/full", ())
    for number in range(5):
        LOGGER.info("line %d", number)
    logs.stop()
    logs.write_last(logging.INFO, "the end")
    assert logs.dropped == 5
    words = capsys.readouterr().err.splitlines()
    lost = "claude-wrapper: the log /dev/full cannot be written (No space left on device); lines"
    # The last line has a writer of its own.
    assert [line.startswith(lost) for line in words] == [True, True]
    assert logs.ring.newest(1)[0].endswith("line 4")


class Disk(io.StringIO):
    """A file on a disk that may be full.

    Args:
        descriptor: What stands for it.
    """

    is_full = False

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def flush(self) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_that_is_free_again_is_written_and_a_mistake_of_ours_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = FileWriter(str(tmp_path / "log"))
    file = writer.stream
    disk = Disk(file.fileno())
    writer.setStream(disk)  # type: ignore[arg-type]
    record = logging.LogRecord("a", logging.INFO, "", 0, "text", None, None)
    for is_full in (False, True, True, False, True):
        disk.is_full = is_full
        writer.handle(record)
    assert writer.lost == 3
    assert capsys.readouterr().err.count("cannot be written") == 2
    disk.is_full = False
    writer.handle(logging.LogRecord("a", logging.INFO, "", 0, "%d", ("x",), None))
    assert "Traceback" in capsys.readouterr().err
    disk.is_full = True
    writer.close()
    assert disk.closed
    file.close()
