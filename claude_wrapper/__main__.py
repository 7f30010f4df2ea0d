"""Where the process begins: `claude-wrapper` and `python -m claude_wrapper`."""

from __future__ import annotations

import signal

__all__ = ["main"]


def main() -> None:
    """Load the command line and run it; Ctrl-C meanwhile ends the process without a traceback."""
    before = signal.getsignal(signal.SIGINT)
    # Loading takes longer than a mistaken Enter and the Ctrl-C after it. One that is ignored, as
    # shells do for what they start in the background, stays so.
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from claude_wrapper.cli import main as run_command

    signal.signal(signal.SIGINT, before)
    run_command()


if __name__ == "__main__":
    main()
