"""How the CLI is started: argument list, environment and folders. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from claude_wrapper.claude.identity import RUN_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from claude_wrapper.claude.locate import CliBinary

__all__ = ["TOOL_SERVERS", "ClaudeCommand", "Workspace", "build_command", "passed_on"]

# Client tools live on an in-process MCP server. Two names take turns, because a changed tool list
# needs a new server name, and both must be allowed on the command line beforehand.
TOOL_SERVERS = ("client_a", "client_b")

ARGUMENTS = (
    "--print",
    "--output-format", "stream-json",
    "--input-format", "stream-json",
    "--verbose",
    "--include-partial-messages",
    "--tools", "",
    "--allowedTools", ",".join(f"mcp__{name}" for name in TOOL_SERVERS),
    "--setting-sources=",
    "--strict-mcp-config",
    "--no-session-persistence",
    "--permission-prompts", "none",
)  # fmt: skip

# What the child may see of our environment. Everything else stays out, above all the keys of this
# server and whatever else a developer's shell holds.
PASSED_NAMES = frozenset(
    ["PATH", "LANG", "LANGUAGE", "TZ", "USER", "LOGNAME", "SHELL", "SYSTEMROOT",
     "NODE_EXTRA_CA_CERTS",
     "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy",
     "https_proxy", "no_proxy", "ALL_PROXY", "CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_CODE_USE_BEDROCK",
     "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_SKIP_BEDROCK_AUTH", "CLAUDE_CODE_SKIP_VERTEX_AUTH",
     "CLOUD_ML_REGION", "GOOGLE_APPLICATION_CREDENTIALS"]
)  # fmt: skip
PASSED_PREFIXES = ("LC_", "ANTHROPIC_", "AWS_", "VERTEX_REGION_")

QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_TELEMETRY": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_ERROR_REPORTING": "1",
    # The client decides about retries; ten silent ones look like a hang to it.
    "CLAUDE_CODE_MAX_RETRIES": "0",
    # After a cut stream the CLI would ask again and answer twice into one reply.
    "CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK": "1",
    "CLAUDE_CODE_DISABLE_FILE_MENTIONS": "1",
    "CLAUDE_CODE_DISABLE_AUTO_MEMORY": "1",
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
    # A compacted conversation is not the one the client sent, and cannot be rewound.
    "DISABLE_COMPACT": "1",
    "DISABLE_AUTO_COMPACT": "1",
    # Who names an older model wants that one; the CLI would take the newest of its kind in its place.
    "CLAUDE_CODE_DISABLE_LEGACY_MODEL_REMAP": "1",
    # A refusal is an answer; the CLI would ask once more, of another model too, on the same bill.
    "CLAUDE_CODE_DISABLE_REFUSAL_RETRY": "1",
    "CLAUDE_CODE_DISABLE_REFUSAL_FALLBACK": "1",
    "CLAUDE_CODE_NO_MODEL_FALLBACK": "1",
    "CLAUDE_CODE_DISABLE_MODEL_ACCESS_FALLBACK": "1",
    # Tools keep the client's plain names, and are all sent, not searched for.
    "CLAUDE_AGENT_SDK_MCP_NO_PREFIX": "1",
    "ENABLE_TOOL_SEARCH": "false",
    # Whole, too: the CLI cuts descriptions at 4096 characters, in the middle of how a tool is used.
    "CLAUDE_CODE_MAX_MCP_DESCRIPTION_LENGTH": "100000000",
    # A result is for the model; the CLI would put one of 25,000 tokens into a file and say where.
    "MAX_MCP_OUTPUT_TOKENS": "100000000",
    # A parked call waits for the client, who may be a person: a day, in milliseconds.
    "MCP_TOOL_TIMEOUT": "86400000",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """The private folders of one child: home, configuration, temporary files, working folder."""

    home: Path
    config: Path
    temp: Path
    cwd: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaudeCommand:
    """Everything that starting one child needs. No prompt and no key stands in `argv`."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path


def build_command(
    binary: CliBinary,
    workspace: Workspace,
    environ: Mapping[str, str],
    mark: str,
    past: Path | None = None,
    model: str = "",
) -> ClaudeCommand:
    """The command for one child.

    `--bare` is added where an API key is the credential: it is quieter and faster, but knows no
    other login.

    Args:
        binary: The executable.
        workspace: Its private folders.
        environ: The environment of the server, of which a fixed list is passed on.
        mark: By which its descendants are recognised, also by a later start.
        past: A transcript to begin with.
        model: The model to begin with.
    """
    bare = ("--bare",) if environ.get("ANTHROPIC_API_KEY") else ()
    env = {
        **passed_on(environ),
        **QUIET,
        "HOME": str(workspace.home),
        "CLAUDE_CONFIG_DIR": str(workspace.config),
        "TMPDIR": str(workspace.temp),
        RUN_VARIABLE: mark,
    }
    resume = () if past is None else ("--resume", str(past))
    named = (f"--model={model}",) if model else ()
    argv = (*binary.prefix, *ARGUMENTS, *bare, *resume, *named)
    return ClaudeCommand(argv=argv, env=env, cwd=workspace.cwd)


def passed_on(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment that a child may see."""
    return {
        name: value
        for name, value in environ.items()
        if name in PASSED_NAMES or name.startswith(PASSED_PREFIXES)
    }
