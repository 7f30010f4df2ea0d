"""`python -m claude_wrapper`."""

from __future__ import annotations

from claude_wrapper.cli import main

if __name__ == "__main__":
    main()
