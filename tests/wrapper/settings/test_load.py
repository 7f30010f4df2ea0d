"""One table: flags before variables before defaults, and errors that say what would be right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from claude_wrapper.cli import build_parser, main
from claude_wrapper.errors import SettingsError
from claude_wrapper.settings import OPTIONS, load_settings

if TYPE_CHECKING:
    from pathlib import Path


def test_flags_win_over_ours_over_the_peers_over_the_default() -> None:
    env = {"PORT": "1", "CLAUDE_WRAPPER_PORT": "2"}
    assert load_settings({"port": "3"}, env).port == 3
    assert load_settings({}, env).port == 2
    assert load_settings({}, {"PORT": "1"}).port == 1
    assert load_settings({}, {}).port == 8000


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("request_timeout", "500ms", 0.5),
        ("request_timeout", "2m", 120.0),
        ("max_request_size", "1K", 1024),
        ("max_request_size", "32MiB", 32 << 20),
        ("max_request_size", "2 mb", 2 << 20),
        ("strict", "Yes", True),
        ("cors_origins", "https://a.example, http://b:1", ("https://a.example", "http://b:1")),
        ("log_level", "WARN", "warning"),
        ("cli_path", "claude", "claude"),
        ("session_store", "sqlite:/x/y.db", "sqlite:/x/y.db"),
        (
            "alert_webhook",
            " https://me:p%40ss@[::1]:8443/x?y=z ",
            "https://me:p%40ss@[::1]:8443/x?y=z",
        ),
    ],
)
def test_values_are_read(name: str, raw: str, value: object) -> None:
    assert getattr(load_settings({name: raw}, {}), name) == value


@pytest.mark.parametrize(
    ("name", "raw", "words"),
    [
        ("port", "70000", "--port is 70000; valid are whole numbers 0 to 65535"),
        ("port", "http", "--port is 'http'; valid are whole numbers"),
        ("request_timeout", "soon", "--request-timeout is 'soon'; valid are 0.1 to 86400 seconds"),
        ("log_level", "loud", "--log-level is 'loud'; valid are debug, info, warning, error"),
        ("max_request_size", "12 parsecs", "valid are 1024 to 1073741824 bytes"),
        ("cors_origins", "app.example", "--cors-origins has 'app.example'; valid are origins like"),
        ("cors_origins", "*", "every web page could use this server"),
        ("session_store", "redis:x", "valid are memory and sqlite:PATH"),
        ("cwd", "/nowhere/at/all", "--cwd is '/nowhere/at/all'; there is no such folder"),
        ("alert_file", "/tmp", "--alert-file is '/tmp', a folder; name a file in it"),
        ("alert_file", "/nowhere/alerts", "there is no folder '/nowhere'"),
        ("log_file", "~nobody-by-that-name/x", "no home folder is known"),
        ("host", "127.page.example", "can be reached from other machines"),
        ("host", "/run/wrapper.sock", "is '/run/wrapper.sock'; give a name or an address"),
        ("host", "http://localhost", "is 'http://localhost'; give a name or an address"),
        ("host", "0.0.0.0", "0.0.0.0 can be reached from other machines and no key is set"),
        ("api_key_file", "/nowhere/keys", "cannot be read: No such file or directory"),
    ],
)
def test_a_wrong_value_is_refused_with_the_right_ones(name: str, raw: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({name: raw}, {})
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ftp://host/token", "is not an address like https://host/path"),
        ("https:///token", "is not an address like https://host/path"),
        ("http://host:99999/token", "is not an address like https://host/path"),
        ("http://[::1/token", "is not an address like https://host/path"),
        ("http://host/token ä", "holds a blank or is not ASCII"),
    ],
)
def test_a_wrong_webhook_is_refused_and_not_shown(address: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        load_settings({}, {"CLAUDE_WRAPPER_ALERT_WEBHOOK": address})
    assert "CLAUDE_WRAPPER_ALERT_WEBHOOK" in str(caught.value)
    assert "token" not in str(caught.value)


def test_a_key_is_never_shown(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("# mine\nsecret-one\n\nsecret-two\n")
    settings = load_settings({"api_key_file": str(keys), "host": "0.0.0.0"}, {})
    assert settings.api_key == ("secret-one", "secret-two")
    assert "secret" not in repr(settings)


def test_every_option_is_in_the_help_with_unit_and_default(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["serve", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for option in OPTIONS:
        if not option.secret:
            assert option.flag in text
            assert option.variable in text


@pytest.mark.parametrize("words", [["serve", "--port", "x"], ["serve", "--cli-path", "/nowhere"]])
def test_a_mistyped_command_costs_one_line(
    words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*words, "--state-dir", str(tmp_path)])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("claude-wrapper: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost", "LOCALHOST"])
def test_loopback_needs_no_key(host: str) -> None:
    assert load_settings({"host": host}, {}).host == host


def test_all_pages_may_call_a_server_that_asks_for_a_key() -> None:
    settings = load_settings({"cors_origins": "*"}, {"CLAUDE_WRAPPER_API_KEY": "k"})
    assert settings.cors_origins == ("*",)


@pytest.mark.parametrize(
    ("env", "name", "value"),
    [
        ({"MAX_TIMEOUT": "600000"}, "request_timeout", 600.0),
        ({"MAX_TIMEOUT": "300"}, "request_timeout", 300.0),
        ({"MAX_TIMEOUT": "5m"}, "request_timeout", 300.0),
        ({"DEBUG_MODE": "true"}, "log_level", "debug"),
        ({"DEBUG_MODE": "false", "VERBOSE": "1"}, "log_level", "debug"),
        ({"DEBUG_MODE": "false"}, "log_level", "info"),
        ({"LOG_LEVEL": "error", "VERBOSE": "1"}, "log_level", "error"),
        ({"RATE_LIMIT_PER_MINUTE": "30"}, "rate_limit", 30),
        ({"PORT": ""}, "port", 8000),
        ({"CLAUDE_COMMAND": "claude"}, "cli_path", "claude"),
        ({"API_KEYS": "a,b"}, "api_key", ("a", "b")),
    ],
)
def test_what_the_peers_say_is_understood(env: dict[str, str], name: str, value: object) -> None:
    assert getattr(load_settings({}, env), name) == value


def test_a_wrong_address_says_where_it_came_from() -> None:
    """Some shells export HOST, and whoever has it there never thought of us."""
    with pytest.raises(SettingsError, match="the address comes from HOST"):
        load_settings({}, {"HOST": "myhost"})


@pytest.mark.parametrize(
    ("content", "words"), [(b"\xff\xfe\x00", "is no text in UTF-8"), (b"# none\n", "holds no key")]
)
def test_a_key_file_that_holds_no_key_is_refused(
    tmp_path: Path, content: bytes, words: str
) -> None:
    keys = tmp_path / "keys"
    keys.write_bytes(content)
    with pytest.raises(SettingsError, match=words):
        load_settings({"api_key_file": str(keys)}, {})


def test_a_key_file_of_an_editor_that_marks_its_files(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_bytes(b"\xef\xbb\xbfthe-key\r\n")
    assert load_settings({"api_key_file": str(keys)}, {}).api_key == ("the-key",)
