"""A CLI that is of no use: what the client is told, how often it is started, and what is left."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import shutil
import threading
from typing import TYPE_CHECKING

import psutil
import pytest
from wrapper.support.clock import FakeClock
from wrapper.support.engine import assistant, engine, read, result, user
from wrapper.support.servers import is_alive

from claude_wrapper.claude import PoolLimits, TurnLimits
from claude_wrapper.claude.child_watch import children_watched_by_descriptor
from claude_wrapper.claude.link import MOST_UNREAD
from claude_wrapper.claude.locate import CliBinary, read_version
from claude_wrapper.errors import CliFailedError, RequestTimeoutError
from claude_wrapper.lifecycle.children import child_pids
from claude_wrapper.model import ToolSpec

if TYPE_CHECKING:
    from pathlib import Path

    from wrapper.support.engine import Engine

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

ONE = PoolLimits(warm=0, most=1, queue=4)
TOOL = ToolSpec(name="f", description="", parameters={"type": "object"})


async def fail(cli: Engine) -> CliFailedError:
    with pytest.raises(CliFailedError) as caught:
        await cli.text(user("[[text:x]]"))
    return caught.value


async def test_a_cli_that_does_not_take_the_tools_is_no_answer(tmp_path: Path) -> None:
    """The real one drops all of them for one that it does not like, and asks the model."""
    odd = ToolSpec(name="odd", description="", parameters={})
    async with engine(tmp_path, ONE) as cli:
        with pytest.raises(CliFailedError, match="did not take the tools f, odd"):
            await cli.text(user("[[text:x]]"), tools=(TOOL, odd))
        assert await cli.text(user("[[text:x]]"), tools=(TOOL,)) == "x"


async def test_one_that_is_stopped_while_it_starts_is_not_waited_for(tmp_path: Path) -> None:
    script = tmp_path / "claude"
    script.write_text("#!/bin/sh\nkill -STOP $$\n")
    script.chmod(0o700)
    async with engine(tmp_path, ONE) as cli:
        cli.table._binary = CliBinary(prefix=(str(script),), origin="given")
        assert "stopped by a signal while it started" in (await fail(cli)).message


async def test_what_a_dying_cli_prints_is_told_without_secrets(tmp_path: Path) -> None:
    """Clients get it as the reason; the key of the server is not theirs."""
    script = tmp_path / "claude"
    script.write_text('#!/bin/sh\necho "refused: $ANTHROPIC_API_KEY" >&2; exit 1\n')
    script.chmod(0o700)
    async with engine(tmp_path, ONE) as cli:
        cli.table._binary = CliBinary(prefix=(str(script),), origin="given")
        cli.table._environ = {**cli.table._environ, "ANTHROPIC_API_KEY": "dummy-0123456789"}
        assert "refused: [redacted]" in (await fail(cli)).message


@pytest.mark.parametrize(
    ("option", "words"),
    [
        pytest.param("--fake-crash", "fake crash at start", id="dies at start"),
        pytest.param("--fake-short-life", "the CLI ended", id="dies after the handshake"),
    ],
)
async def test_a_cli_that_dies_is_started_ever_more_rarely(
    tmp_path: Path, option: str, words: str
) -> None:
    clock = FakeClock()
    async with engine(tmp_path, ONE, options=(option,), clock=clock) as cli:
        error = await fail(cli)
        while not error.retry_after:
            error = await fail(cli)
        assert words in error.message
        started = cli.table.started_total
        assert started <= 3
        for _ in range(50):
            assert (await fail(cli)).retry_after
        assert cli.table.started_total == started
        rests = []
        for _ in range(7):
            rests.append(cli.pool.crew.starter.rest)
            await clock.advance(rests[-1])
            await fail(cli)
        assert rests == [1, 2, 4, 8, 16, 30, 30]
        assert cli.table.started_total == started + 7


async def test_the_keeper_does_not_start_a_dying_cli_without_end(tmp_path: Path) -> None:
    clock = FakeClock()
    limits = PoolLimits(warm=2, most=4)
    async with engine(tmp_path, limits, options=("--fake-short-life",), clock=clock) as cli:
        while not cli.pool.crew.starter.rest:
            with contextlib.suppress(CliFailedError):
                await cli.pool.crew._tend()
            await asyncio.gather(*(child.gone.wait() for child in cli.table.children))
            cli.pool.crew._sweep()
        started = cli.table.started_total
        for _ in range(20):
            await cli.pool.crew._tend()
        assert cli.table.started_total == started


async def test_one_failure_does_not_make_others_wait(tmp_path: Path) -> None:
    """A turn that works ends every rest."""
    clock = FakeClock()
    async with engine(tmp_path, ONE, clock=clock) as cli:
        cli.pool.crew.starter.failed("an accident")
        assert await cli.text(user("[[text:fine]]")) == "fine"
        assert cli.pool.last_failure == ""


async def test_who_waits_is_served_by_what_lives_while_no_start_is_due(tmp_path: Path) -> None:
    clock = FakeClock()
    async with engine(tmp_path, PoolLimits(warm=0, most=2), clock=clock) as cli:
        running = cli.start(user("[[chunks:2]] [[delay:0.1]]"))
        await running.next_event()
        for _ in range(2):
            cli.pool.crew.starter.failed("no memory")
        started = cli.table.started_total
        assert await cli.text(user("[[text:fine]]")) == "fine"
        await read(running)
        assert cli.table.started_total == started


async def test_a_process_of_a_session_serves_everybody_while_no_start_is_due(
    tmp_path: Path,
) -> None:
    """Otherwise it is spared for its session, in favour of a start."""
    clock = FakeClock()
    async with engine(tmp_path, PoolLimits(warm=0, most=2), clock=clock) as cli:
        assert await cli.text(user("[[text:mine]]"), session="s") == "mine"
        for _ in range(2):
            cli.pool.crew.starter.failed("no memory")
        assert await cli.text(user("[[text:fine]]")) == "fine"
        assert cli.table.started_total == 1


async def test_who_can_be_served_by_nothing_that_lives_is_told_at_once(tmp_path: Path) -> None:
    """A process is started for one JSON schema and cannot answer in another."""
    clock = FakeClock()
    async with engine(tmp_path, PoolLimits(warm=0, most=2), clock=clock) as cli:
        assert await cli.text(user("[[text:fine]]")) == "fine"
        for _ in range(2):
            cli.pool.crew.starter.failed("no memory")
        with pytest.raises(CliFailedError, match="no memory"):
            await cli.text(user('[[json:{"a": 1}]]'), json_schema={"type": "object"})


async def test_a_process_that_cannot_be_written_down_does_not_live(tmp_path: Path) -> None:
    """As on a full disk: without its line nobody could find it after a crash."""
    async with engine(tmp_path, ONE) as cli:
        obstacle = cli.ledger.folder / "children.jsonl"
        obstacle.mkdir()
        error = await fail(cli)
        assert "could not be prepared" in error.message
        obstacle.rmdir()
        assert await cli.text(user("[[text:fine]]")) == "fine"
        assert len(cli.table.children) == cli.pool.size == 1


async def test_a_process_whose_end_cannot_be_written_down_is_gone_all_the_same(
    tmp_path: Path,
) -> None:
    async with engine(tmp_path, ONE) as cli:
        assert await cli.text(user("[[text:x]]")) == "x"
        ledger = cli.ledger.folder / "children.jsonl"
        ledger.unlink()
        ledger.mkdir()
        [child] = cli.table.children
        cli.pool.crew.discard(cli.pool.roster.idle[0])
        await child.gone.wait()
        ledger.rmdir()
        assert await cli.text(user("[[text:fine]]")) == "fine"


async def test_no_room_for_the_folders_of_a_process(tmp_path: Path) -> None:
    async with engine(tmp_path, ONE) as cli:
        cli.ledger.work_folder.rmdir()
        cli.ledger.work_folder.touch()
        assert "File exists" in (await fail(cli)).message
        cli.ledger.work_folder.unlink()
        assert await cli.text(user("[[text:fine]]")) == "fine"


async def test_a_state_folder_removed_beneath_the_server_costs_no_turn(tmp_path: Path) -> None:
    """Processes whose home went with it are replaced after their turn."""
    async with engine(tmp_path / "state", ONE) as cli:
        first = await cli.text(user("[[pid]]"))
        shutil.rmtree(tmp_path / "state")
        assert await cli.text(user("[[pid]]")) == first
        cli.ledger.renew()
        assert await cli.text(user("[[pid]]")) == first
        second = await cli.text(user("[[pid]]"))
        assert second != first
        assert [path.is_dir() for path in cli.ledger.work_folder.iterdir()] == [True]
        assert second in (cli.ledger.folder / "children.jsonl").read_text()


@pytest.mark.parametrize("by_descriptor", [False, True])
async def test_where_nothing_is_left_to_wait_with_no_process_is_left_unwatched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, by_descriptor: bool
) -> None:
    """Asyncio starts the process first, and then what waits for it: a thread, or a descriptor."""

    def no_thread(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def no_descriptor(_pid: int, _flags: int = 0) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    watched = children_watched_by_descriptor() if by_descriptor else contextlib.nullcontext()
    with watched:
        async with engine(tmp_path, ONE) as cli:
            before, open_files = set(child_pids()), psutil.Process().num_fds()
            with monkeypatch.context() as scarce:
                scarce.setattr(threading.Thread, "start", no_thread)
                scarce.setattr(os, "pidfd_open", no_descriptor, raising=False)
                with contextlib.suppress(CliFailedError):
                    await cli.text(user("[[text:x]]"))
                started = {child.pid for child in cli.table.children}
                assert set(child_pids()) - before == started
                assert started or psutil.Process().num_fds() == open_files
            assert await cli.text(user("[[text:fine]]")) == "fine"


async def test_a_cli_that_no_longer_answers_costs_no_more_than_the_time_of_the_request(
    tmp_path: Path,
) -> None:
    async with engine(tmp_path, ONE, TurnLimits(total=2, idle=20)) as cli:
        cli.pool.crew.admit(await cli.pool.crew.starter.start(""))
        await cli.text(user("[[deaf]] [[text:x]]"), system="one")
        [deaf] = cli.table.children
        with pytest.raises(RequestTimeoutError, match=r"within 2 s|longer than 2 s"):
            await cli.text(user("[[text:x]]"), system="two")
        await deaf.gone.wait()


async def test_a_client_that_leaves_while_its_conversation_is_loaded_frees_the_place(
    tmp_path: Path,
) -> None:
    async with engine(tmp_path, ONE) as cli:
        await cli.text(user("[[deaf]] [[text:x]]"), system="one")
        turn = cli.start(user("[[text:x]]"), system="two")
        turn.abandon()
        await turn.finished.wait()
        async with asyncio.timeout(10):
            assert await cli.text(user("[[text:fine]]"), system="two") == "fine"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[mute]]", "broke off: the CLI closed its output"),
        ("[[garbage]]", "Segmentation fault"),
        ("[[partial]]", "silent for"),
        ("[[chunks:2]] [[crash]]", "broke off: the CLI ended with exit code 9"),
    ],
)
async def test_whatever_it_prints_the_next_turn_works(
    tmp_path: Path, text: str, words: str
) -> None:
    async with engine(tmp_path, ONE, TurnLimits(total=30, idle=0.5)) as cli:
        with pytest.raises((CliFailedError, RequestTimeoutError), match=words):
            await cli.text(user(text))
        [first] = cli.table.children or [None]
        assert await cli.text(user("[[text:fine]]")) == "fine"
        if first is not None and text != "[[partial]]":
            await first.gone.wait()
            assert not is_alive(first.pid)


async def test_endless_standard_error_does_not_stop_it(tmp_path: Path) -> None:
    async with engine(tmp_path, ONE) as cli:
        assert await cli.text(user("[[stderr:3000000]] [[text:fine]]")) == "fine"
        [child] = cli.table.children
        assert 0 < len(child.process.stderr) <= 8000


async def test_what_nobody_asked_for_is_not_collected(tmp_path: Path) -> None:
    async with engine(tmp_path, ONE, options=("--fake-chatter",)) as cli:
        worker = await cli.pool.crew.starter.start("")
        while not worker.has_ended:
            await asyncio.sleep(0)
        assert worker.inbox.qsize() == MOST_UNREAD + 1
        cli.pool.crew.admit(worker)
        cli.pool.crew._sweep()
        assert "nobody had asked for" in cli.pool.last_failure
        await worker.child.gone.wait()


async def test_an_answer_without_a_question_does_not_reach_the_next_client(tmp_path: Path) -> None:
    """It belongs to no turn, so it cannot be taken back: the process has to go."""
    async with engine(tmp_path, ONE) as cli:
        await cli.text(assistant("secret"), user("[[text:x]]"), owner="a")
        seen = await cli.text(user("first"), assistant("x"), user("[[context]]"), owner="b")
        texts = [part["text"] for m in json.loads(seen)["messages"] for part in m["content"]]
        assert texts == ["first", "x", "[[context]]"]


async def test_one_who_waits_takes_one_parked_process_and_no_more(tmp_path: Path) -> None:
    clock = FakeClock()
    limits = PoolLimits(warm=0, most=2)
    async with engine(tmp_path, limits, clock=clock) as cli:
        for _ in range(2):
            await read(cli.start(user("[[tool:f {}]]"), tools=(TOOL,)))
        assert cli.pool.counts()["parked"] == 2
        await clock.advance(10)
        assert await cli.text(user("[[text:fine]]")) == "fine"
        assert cli.pool.counts()["parked"] == 1


async def test_results_with_something_else_beside_them_are_loaded(tmp_path: Path) -> None:
    async with engine(tmp_path, ONE) as cli:
        turn = cli.start(user("[[tool:f {}]]"), tools=(TOOL,))
        await read(turn)
        assert turn.answer is not None
        [call] = turn.answer.tool_calls
        cli.pool.crew.recall_parked(0, most=1)
        prompt = (result(call.id, "rain"), user("[[text:fine]]"))
        assert await cli.text(user("[[tool:f {}]]"), turn.answer, *prompt, tools=(TOOL,)) == "fine"


@pytest.mark.parametrize(
    ("script", "version"),
    [
        ("echo '2.1 (Claude Code)'; echo more", "2.1 (Claude Code)"),
        ("printf '1.0\\033[31m\\n'", "1.0[31m"),
        ("yes", ""),
        ("head -c 100000 /dev/zero | tr '\\0' 9", ""),
        ("echo 1.0; exit 1", ""),
        ("echo 1.0; sleep 600", ""),
        ("echo 1.0; sleep 600 &", ""),
    ],
)
async def test_the_version_is_one_short_line_whatever_the_cli_says(
    tmp_path: Path, script: str, version: str
) -> None:
    """It stands in the start-up line: a long one would fill the pipe of whoever started us."""
    path = tmp_path / "claude"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    binary = CliBinary(prefix=(str(path),), origin="given")
    before = set(child_pids())
    assert await read_version(binary, deadline=5.0 if version else 0.5) == version
    async with asyncio.timeout(10):
        while not all(map(_has_ended, set(child_pids()) - before)):
            await asyncio.sleep(0.01)


async def test_the_keys_of_the_server_are_not_shown_when_the_version_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_WRAPPER_API_KEY", "ours")
    monkeypatch.setenv("SOME_TOKEN", "somebody's")
    monkeypatch.setenv("LC_MESSAGES", "C")
    path = tmp_path / "claude"
    path.write_text('#!/bin/sh\necho "<$CLAUDE_WRAPPER_API_KEY$SOME_TOKEN> $LC_MESSAGES $HOME"\n')
    path.chmod(0o755)
    version = await read_version(CliBinary(prefix=(str(path),), origin="given"))
    assert version == f"<> C {os.environ['HOME']}"


def _has_ended(pid: int) -> bool:
    """An orphan that comes to us, as the plugin asks for, is a zombie until it is collected."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_a_cli_that_never_gets_ready_is_named_as_the_reason(tmp_path: Path) -> None:
    async with engine(tmp_path, ONE, TurnLimits(total=0.5), options=("--fake-deaf",)) as cli:
        with pytest.raises(RequestTimeoutError, match="the CLI had not started within"):
            await cli.text(user("[[text:x]]"))
