"""`lockgate guest new|build|test`: the functions behind the commands."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lockgate.runtime.errors import BadProject
from lockgate.runtime.wasm import testing
from lockgate.runtime.wasm.build import SDK, WIT, Built, compile_into
from lockgate.runtime.wasm.build import build as build_project
from lockgate.runtime.wasm.cache import CodeCache
from lockgate.runtime.wasm.guest import Sandbox
from lockgate.runtime.wasm.project import FILE, read_project

BUILD_FOLDER: Final = "build"

_GUEST_TOML: Final = """\
[guest]
name = "{name}"
language = "python"
module = "{module}"    # the module with the `guest`
paths = ["."]          # folders on the guest's Python path
"""

_MODULE: Final = '''\
"""Greets, and counts whom it greeted."""

from lockgate_guest import Guest, Message, Refused, state

guest = Guest()


@guest.handles("hello@1.0")
def hello(message: Message) -> bytes:
    if not message.body:
        raise Refused("hello.nobody", "say who you are")
    greeted = int.from_bytes(state.get(b"greeted") or b"", "big") + 1
    state.put(b"greeted", greeted.to_bytes(8, "big"))
    return b"hello, %s (%d)" % (message.body, greeted)
'''

_TESTS_TOML: Final = """\
# Cases run in order on one state. `lockgate guest test` runs them in the sandbox.

[[case]]
name = "greets"
message = {{ schema = "hello@1.0", text = "Ada" }}
expect = {{ text = "hello, Ada (1)" }}

[[case]]
name = "counts"
message = {{ schema = "hello@1.2", text = "Grace" }}
expect = {{ text = "hello, Grace (2)" }}

[[case]]
name = "wants a name"
message = {{ schema = "hello@1.0", text = "" }}
expect = {{ refuse = "hello.nobody" }}
"""

_GITIGNORE: Final = "build/\n__pycache__/\n"


@dataclass(frozen=True, slots=True)
class TestReport:
    """What a guest's own cases showed, and which component they ran on."""

    __test__ = False  # no test class, whatever pytest makes of the name

    built: Built
    cases: tuple[testing.CaseResult, ...]

    @property
    def passed(self) -> bool:
        return all(case.passed for case in self.cases)


def new(folder: Path) -> Path:
    """Write a project that builds and passes its tests; raises BadProject if the folder is in use.

    The WIT world and the SDK are not copied: a build takes those of the installed Lockgate.
    """
    if folder.exists() and any(folder.iterdir()):
        raise BadProject("the folder is not empty", folder=folder)
    name = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")
    if not name or not name[0].isalpha():
        name = f"guest-{name}".rstrip("-")
    name = name[:64].rstrip("-")
    module = name.replace("-", "_")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(_GUEST_TOML.format(name=name, module=module))
    (folder / f"{module}.py").write_text(_MODULE)
    (folder / testing.FILE).write_text(_TESTS_TOML.format())
    (folder / ".gitignore").write_text(_GITIGNORE)
    return folder


def build(folder: Path) -> Built:
    """Build a project's component into its `build/` and compile it."""
    built = build_project(read_project(folder), folder / BUILD_FOLDER)
    compile_into(code_cache(folder), [built])
    return built


def test(folder: Path) -> TestReport:
    """Build a project if need be, and run its cases in the sandbox."""
    built = build(folder)
    with Sandbox(cache=code_cache(folder)) as sandbox:
        guest = sandbox.load(built.component.read_bytes()).guest
        return TestReport(built, tuple(testing.run_cases(guest, folder)))


def code_cache(folder: Path) -> CodeCache:
    """Open a project's cache of machine code."""
    return CodeCache(folder / BUILD_FOLDER / "code", folder / BUILD_FOLDER / "key" / "code.key")


def export_wit(folder: Path) -> Path:
    """Copy the WIT world and the SDK's source out, for other languages, editors and type checkers."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(WIT, folder / WIT.name)
    shutil.copytree(SDK / "lockgate_guest", folder / "lockgate_guest", dirs_exist_ok=True)
    return folder


__all__ = ("TestReport", "build", "code_cache", "export_wit", "new", "test")
