"""The table of settings: each row is a variable, a flag, a help text and a row of the docs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from claude_wrapper.settings import parse

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OPTIONS", "PREFIX", "Option"]

PREFIX = "CLAUDE_WRAPPER_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One setting.

    Attributes:
        name: The field of `WrapperSettings`; the variable and the flag derive from it.
        default: The default as the user would write it.
        unit: What the number counts, for the help.
        parse: Text to value; raises SettingsError with what is valid.
        help: One sentence.
        aliases: Variables of other wrappers that are read too, after our own.
        secret: The value is never shown, and the table makes no flag of it.
    """

    name: str
    default: str
    parse: Callable[[str], Any]
    help: str
    unit: str = ""
    aliases: tuple[str, ...] = ()
    short: str = ""
    secret: bool = False

    @property
    def variable(self) -> str:
        """The environment variable."""
        return PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        """The flag of `serve`."""
        return "--" + self.name.replace("_", "-")

    @property
    def is_path(self) -> bool:
        """Whether the value depends on the folder it is read in, until it was parsed."""
        return self.parse in PATHS


PATHS = (parse.optional_path, parse.command, parse.folder, parse.store)
HOUR = 3600.0
DAY = 24 * HOUR
GIB = 1 << 30

OPTIONS: tuple[Option, ...] = (
    Option(
        name="host",
        default="127.0.0.1",
        parse=parse.host,
        aliases=("HOST",),
        help="Address to listen on; anything but loopback needs a key.",
    ),
    Option(
        name="port",
        default="8000",
        parse=parse.integer(0, 65535),
        aliases=("PORT",),
        short="-p",
        help="Port to listen on; 0 takes a free one.",
    ),
    Option(
        name="api_key",
        default="",
        parse=parse.words,
        aliases=("API_KEY", "API_KEYS"),
        secret=True,
        help="Keys that clients must show, separated by commas; empty turns the check off.",
    ),
    Option(
        name="api_key_file", default="", parse=parse.optional_path, help="File with one key a line."
    ),
    Option(
        name="pool_size",
        default="2",
        parse=parse.integer(0, 64),
        unit="processes",
        help="Warm CLI processes kept ready.",
    ),
    Option(
        name="max_concurrency",
        default="8",
        parse=parse.integer(1, 256),
        unit="processes",
        help="CLI processes, and so turns, at the same time.",
    ),
    Option(
        name="queue_size",
        default="64",
        parse=parse.integer(0, 100_000),
        unit="requests",
        help="Requests that may wait for a process; more are refused with 429.",
    ),
    Option(
        name="request_timeout",
        default="600",
        parse=parse.seconds(0.1, DAY),
        unit="seconds",
        aliases=("REQUEST_TIMEOUT", "MAX_TIMEOUT"),
        help="Longest time for one turn, waiting included, and for a body to arrive.",
    ),
    Option(
        name="stream_idle_timeout",
        default="120",
        parse=parse.seconds(0.1, DAY),
        unit="seconds",
        help="Longest silence of the CLI within a turn.",
    ),
    Option(
        name="heartbeat_interval",
        default="15",
        parse=parse.seconds(0.05, HOUR),
        unit="seconds",
        help="Pause after which a comment keeps a silent stream open.",
    ),
    Option(
        name="max_request_size",
        default="32M",
        parse=parse.size(1024, GIB),
        unit="bytes",
        aliases=("MAX_REQUEST_SIZE",),
        help="Largest request body; more is refused with 413.",
    ),
    Option(
        name="rate_limit",
        default="0",
        parse=parse.integer(0, 1_000_000),
        unit="requests per key and minute",
        aliases=("RATE_LIMIT_PER_MINUTE",),
        help="Requests that a key may make; 0 turns the limit off.",
    ),
    Option(
        name="session_ttl",
        default="3600",
        parse=parse.seconds(0.05, 30 * DAY),
        unit="seconds",
        aliases=("SESSION_TTL",),
        help="Life of a session after its last use.",
    ),
    Option(
        name="session_cleanup_interval",
        default="300",
        parse=parse.seconds(0.05, DAY),
        unit="seconds",
        aliases=("SESSION_CLEANUP_INTERVAL",),
        help="Pause between two removals of expired sessions.",
    ),
    Option(
        name="max_sessions",
        default="10000",
        parse=parse.integer(1, 1_000_000),
        unit="sessions",
        help="Sessions kept; beyond that expired ones go first, then the least recently used.",
    ),
    Option(
        name="session_bytes",
        default="64M",
        parse=parse.size(1024, 64 * GIB),
        unit="bytes",
        help="Budget for the text of all sessions.",
    ),
    Option(
        name="session_messages",
        default="1000",
        parse=parse.integer(2, 100_000),
        unit="messages",
        aliases=("SESSION_MESSAGE_LIMIT",),
        help="Messages kept in one session; the oldest exchange goes first.",
    ),
    Option(
        name="session_store",
        default="memory",
        parse=parse.store,
        help="Where sessions live: memory, or sqlite:PATH.",
    ),
    Option(
        name="session_busy",
        default="wait",
        parse=parse.one_of("wait", "reject"),
        help="A request for a session in use waits for its turn, or is refused with 409.",
    ),
    Option(
        name="shutdown_timeout",
        default="5",
        parse=parse.seconds(0.5, HOUR),
        unit="seconds",
        help="Longest time from the first signal to the exit.",
    ),
    Option(
        name="state_dir",
        default="",
        parse=parse.optional_path,
        help="Folder (0700) for the PID file and the ledger; default: the user's state folder.",
    ),
    Option(
        name="log_level",
        default="info",
        aliases=("LOG_LEVEL", "DEBUG_MODE", "VERBOSE"),
        parse=parse.log_level,
        help="How much is logged: debug, info, warning or error.",
    ),
    Option(
        name="log_file",
        default="",
        parse=parse.optional_path,
        help="File for the log (10 MB x 5); default: standard error.",
    ),
    Option(
        name="cli_path",
        default="",
        parse=parse.command,
        aliases=("CLAUDE_CLI_PATH", "CLAUDE_COMMAND"),
        help="The claude executable; default: PATH, then the one in claude-agent-sdk.",
    ),
    Option(
        name="cwd",
        default="",
        parse=parse.folder,
        aliases=("CLAUDE_CWD",),
        help="Working folder of the CLI; default: an empty private one per process.",
    ),
    Option(
        name="default_model",
        default="sonnet",
        parse=parse.text,
        aliases=("DEFAULT_MODEL",),
        help="Model that waiting processes start with.",
    ),
    Option(
        name="strict",
        default="false",
        parse=parse.flag,
        help="Refuse parameters that cannot be honoured instead of naming them in a header.",
    ),
    Option(
        name="cors_origins",
        default="",
        parse=parse.origins,
        aliases=("CORS_ORIGINS",),
        help="Origins of web pages that may call, separated by commas; none by default, and * only "
        "with a key.",
    ),
    Option(
        name="worker_max_turns",
        default="200",
        parse=parse.integer(1, 1_000_000),
        unit="turns",
        help="Turns after which a process is replaced.",
    ),
    Option(
        name="worker_max_age",
        default="3600",
        parse=parse.seconds(0.05, 30 * DAY),
        unit="seconds",
        help="Age after which a process is replaced.",
    ),
    Option(
        name="worker_max_rss",
        default="600M",
        parse=parse.size(1 << 20, 64 * GIB),
        unit="bytes",
        help="Resident memory after which a process is replaced.",
    ),
    Option(
        name="worker_idle_ttl",
        default="300",
        parse=parse.seconds(0.05, DAY),
        unit="seconds",
        help="Idle time after which a process beyond the pool size is ended.",
    ),
    Option(
        name="memory_limit",
        default="0",
        parse=parse.size(0, 1 << 50),
        unit="bytes",
        help="Memory the server may use, for the alert at 80 %; 0 takes the control group's limit.",
    ),
    Option(
        name="alert_file",
        default="",
        parse=parse.output_file,
        help="File that alerts are appended to as JSON lines.",
    ),
    Option(
        name="alert_webhook",
        default="",
        parse=parse.webhook,
        help="Address that alerts are posted to as JSON.",
        secret=True,
    ),
)
