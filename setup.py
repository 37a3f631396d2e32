"""Takes the shipped guests' sources into the wheel, where `runtime/wasm/shipped.py` looks for them."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

GUESTS = Path(__file__).parent / "guests"


class BuildWithGuests(build_py):
    """`guests/` stands outside the package, since a checkout builds it in place."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / "lockgate" / "runtime" / "wasm" / "guests"
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(GUESTS, target, ignore=shutil.ignore_patterns("build", "__pycache__", "*.md"))


setup(cmdclass={"build_py": BuildWithGuests})
