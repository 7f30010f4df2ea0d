"""A static check for what leaks at run time: handlers, callbacks, threads that nothing ever ends.

Runs apart from the project it reads: standard library only, and nothing of the plugin or its engine.
"""

from __future__ import annotations
