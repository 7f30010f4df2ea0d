"""Writing to a pipe that perhaps nobody reads."""

from __future__ import annotations

import io
import os
from contextlib import ExitStack

import pytest

from claude_wrapper.lifecycle.terminal import write_or_fail


def _pipe(stack: ExitStack) -> tuple[int, io.TextIOWrapper]:
    reader, writer = os.pipe()
    stack.callback(os.close, reader)
    return reader, stack.enter_context(os.fdopen(writer, "w", encoding="utf-8"))


def test_a_text_longer_than_the_pipe_is_written_as_far_as_there_is_room() -> None:
    with ExitStack() as stack:
        reader, stream = _pipe(stack)
        with pytest.raises(TimeoutError):
            write_or_fail(stream, "ä" * 1_000_000)
        os.set_blocking(reader, False)
        assert len(os.read(reader, 2_000_000)) >= 4096
        write_or_fail(stream, "and on\n")
        assert os.read(reader, 2_000_000).endswith(b"and on\n")


def test_a_reader_that_has_gone_is_told() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream, pytest.raises(BrokenPipeError):
        write_or_fail(stream, "text")


def test_a_stream_without_a_descriptor_is_written_to() -> None:
    stream = io.StringIO()
    write_or_fail(stream, "text")
    assert stream.getvalue() == "text"
