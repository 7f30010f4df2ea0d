"""The settings of the server: one table, read once, frozen."""

from __future__ import annotations

from claude_wrapper.settings.load import WrapperSettings, load_one, load_settings, state_path
from claude_wrapper.settings.table import OPTIONS, Option

__all__ = ["OPTIONS", "Option", "WrapperSettings", "load_one", "load_settings", "state_path"]
