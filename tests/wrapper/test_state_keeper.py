"""What a server has written about itself stays findable, whatever happens to its folder."""

from __future__ import annotations

import logging
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from claude_wrapper.claude.ledger import open_ledger
from claude_wrapper.server_record import ServerRecord, describe_self, read_records
from claude_wrapper.state_keeper import StateKeeper

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


def described(port: int) -> ServerRecord:
    return describe_self(
        host="127.0.0.1", port=port, needs_key=False, arguments=(),
        shutdown_timeout=5, log_file="", previous_run="clean",
    )  # fmt: skip


async def test_a_server_is_found_again_after_its_folder_was_removed(tmp_path: Path) -> None:
    state = tmp_path / "state"
    ledger, record = open_ledger(state), described(8000)
    record.write(state)
    keeper = StateKeeper(ledger, record)
    shutil.rmtree(state)
    await keeper.renew()
    assert read_records(state) == (record,)
    assert ledger.work_folder.is_dir()
    os.utime(record.path(state), (1e9, 1e9))
    await keeper.renew()
    assert record.path(state).stat().st_mtime > 1.7e9


async def test_the_record_of_another_server_is_left_alone(tmp_path: Path) -> None:
    ledger, record = open_ledger(tmp_path), described(8000)
    other = described(8000)
    other.write(tmp_path)
    await StateKeeper(ledger, record).renew()
    assert read_records(tmp_path) == (other,)


async def test_a_folder_that_cannot_be_made_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = tmp_path / "state"
    keeper = StateKeeper(open_ledger(state), described(8000))
    shutil.rmtree(state)
    state.touch()
    with caplog.at_level(logging.WARNING):
        await keeper.renew()
        await keeper.renew()
    assert [record.getMessage() for record in caplog.records] == [
        f"the state folder {state} cannot be used: File exists"
    ]
    state.unlink()
    await keeper.renew()
    assert len(read_records(state)) == 1
