"""Compiles the parts in C into the wheel, where a compiler is at hand; else the wheel is pure Python.

Nothing is missing without them, it only costs more: see `pytest_resource_hygiene.compiled`.
"""

from __future__ import annotations

import os
import platform
import shutil
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_MODULE = "pytest_resource_hygiene._speedups"
_FILES = ("_speedups", "_sites", "_stand_ins", "_probes", "_objects", "_system")
_SOURCES = [f"pytest_resource_hygiene/{name}.c" for name in _FILES]


class CompilingBuildHook(BuildHookInterface[Any]):
    """Builds the extension; the name of the hook is given by hatchling."""

    PLUGIN_NAME = "custom"
    _work = ""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the compiled module to a wheel; into the source folder for an editable one."""
        if not self._is_wanted():
            return
        try:
            built = self._compile(inplace=version == "editable")
        except Exception as error:  # noqa: BLE001 - no compiler, no headers: every failure ends so
            self.app.display_warning(f"{_MODULE} was not compiled, Python does its work: {error}")
            return
        if version != "editable":
            build_data["force_include"][str(built)] = f"pytest_resource_hygiene/{built.name}"
            build_data["pure_python"] = False
            build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what compiling has left."""
        if self._work:
            shutil.rmtree(self._work, ignore_errors=True)

    def _is_wanted(self) -> bool:
        # Elsewhere the interface to frames and audit events is another, or there is no one lock.
        is_ours = platform.python_implementation() == "CPython"
        has_lock = not sysconfig.get_config_var("Py_GIL_DISABLED")
        return is_ours and has_lock and not os.environ.get("RESOURCE_HYGIENE_PURE_PYTHON")

    def _compile(self, *, inplace: bool) -> Path:
        from setuptools import Distribution, Extension
        from setuptools.command.build_ext import build_ext

        extension = Extension(_MODULE, _SOURCES)
        command = build_ext(Distribution({"ext_modules": [extension]}))
        self._work = tempfile.mkdtemp(prefix="speedups-")
        command.build_temp = command.build_lib = self._work
        if inplace:
            command.build_lib = self.root
        before = Path.cwd()
        os.chdir(self.root)
        try:
            command.ensure_finalized()
            command.run()
        finally:
            os.chdir(before)
        return Path(command.build_lib, command.get_ext_filename(_MODULE))
