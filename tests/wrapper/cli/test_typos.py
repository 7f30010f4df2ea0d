"""Whatever is mistyped costs one line that says what was meant, and exit code 2."""

from __future__ import annotations

import errno
import socket

import pytest

from claude_wrapper.cli import build_parser, main
from claude_wrapper.cli.parser import VERBS
from claude_wrapper.cli.typos import explain_unknown, misspelt_variables
from claude_wrapper.errors import SettingsError
from claude_wrapper.listener import bind
from claude_wrapper.settings import load_settings


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["serv"], "'serv' is no command; did you mean serve? See claude-wrapper --help"),
        (["xyz"], "'xyz' is no command; there are serve, start, restart, stop, status, logs"),
        (["serve", "--prot", "80"], "'--prot'; did you mean --port? See claude-wrapper serve"),
        (["serve", "--secret=hunter2"], "serve does not know '--secret'."),
        (["serve", "8000", "8001"], "serve does not know '8001'."),
        (["status", "--jsno"], "status does not know '--jsno'; did you mean --json?"),
        (["serve", "--port"], "-p/--port: expected one argument. See claude-wrapper serve --help"),
        (["serve", "--port="], "--port is ''; valid are whole numbers"),
        (["stop", "--port="], "--port is ''; valid are whole numbers"),
        (["logs", "--lines", "x"], "--lines: invalid int value: 'x'"),
    ],
)
def test_a_mistyped_word_costs_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("claude-wrapper: ")
    assert error.count("\n") == 1
    assert said in error
    assert "hunter2" not in error


def test_help_and_version_as_others_write_them(capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["help"], "COMMAND"),
        (["help", "logs"], "--follow"),
        (["-V"], "claude-wrapper "),
    ):
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert caught.value.code == 0
        assert said in capsys.readouterr().out


def test_every_verb_is_known_to_the_parser_and_every_flag_to_its_suggestions(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for verb in VERBS:
        with pytest.raises(SystemExit):
            build_parser().parse_args([verb, "--help"])
        words = capsys.readouterr().out.replace(",", " ").replace("]", " ").split()
        flags = {word for word in words if word.startswith("--") and word != "--"}
        assert flags
        for flag in flags:
            assert f"did you mean {flag}?" in explain_unknown(verb, [flag])


def test_a_misspelt_variable_is_named() -> None:
    environ = {
        "CLAUDE_WRAPPER_PROT": "1", "CLAUDE_WRAPPER_PORT": "1", "CLAUDE_WRAPPER_RUN_ID": "x",
        "PORT": "1",
    }  # fmt: skip
    assert misspelt_variables(environ) == [
        "the variable CLAUDE_WRAPPER_PROT is no setting; did you mean CLAUDE_WRAPPER_PORT?"
    ]


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (OSError(errno.EADDRINUSE, "in use"), "or stop what uses it"),
        (OSError(errno.EADDRNOTAVAIL, "none"), "choose another --host"),
        (PermissionError(errno.EACCES, "denied"), "ports below 1024"),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), "--host must be an address"),
    ],
)
def test_the_advice_fits_the_reason(
    error: OSError, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: socket.socket, _address: object) -> None:
        raise error

    monkeypatch.setattr("socket.socket.bind", refuse)
    with pytest.raises(SettingsError, match=advice):
        bind(load_settings({"port": "80"}, {}))
