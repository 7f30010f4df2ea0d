"""The log is bounded, redacted, written by a thread of its own, and gone when it stops."""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path

import pytest

from claude_wrapper.errors import SettingsError
from claude_wrapper.lifecycle import ResourceTracker
from claude_wrapper.monitoring.logs import FILE_BYTES, start_logging
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
