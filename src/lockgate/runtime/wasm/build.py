"""Builds guest projects into components, and the shipped ones on the command line.

    python -m lockgate.runtime.wasm.build [NAME …]

A build is skipped when nothing it depends on has changed: a stamp beside the component holds the hash
of every input. componentize-py builds are not reproducible (the interpreter's state is baked in), so a
guest's identity is the hash of the component that was published, and a rebuild is a new guest (I11).
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from lockgate.primitives.errors import LockgateError
from lockgate.runtime.errors import BadProject, BuilderMissing, BuildFailed
from lockgate.runtime.wasm.cache import CodeCache, Found
from lockgate.runtime.wasm.engine import EngineSettings
from lockgate.runtime.wasm.guest import Sandbox, component_bytes
from lockgate.runtime.wasm.project import Project, read_project

_HERE: Final = Path(__file__).parent
WIT: Final = _HERE / "wit" / "guest.wit"
SDK: Final = _HERE / "sdk"
_FORMAT: Final = "lockgate guest build v1"
_ENTRY_MODULE: Final = "lockgate_entry"
BUILD_TIMEOUT_S: Final = 600  # a build takes 8 s; on a slow, busy machine it has been seen to take 60
MAX_BUILDER_TEXT: Final = 2_000  # characters of the builder's own words in an error: the end says why


@dataclass(frozen=True, slots=True)
class Built:
    """A project's component on disk."""

    name: str
    component: Path
    identity: bytes  # SHA-256 of the component
    fresh: bool  # built now, not found up to date


def build(project: Project, into: Path) -> Built:
    """Build a project's component into a folder, unless it is there and up to date.

    Raises BadProject, BuilderMissing or BuildFailed; an earlier component then stays as it was.
    """
    try:
        into.mkdir(parents=True, exist_ok=True)
        with _only_builder(into / f".{project.name}.lock"):
            return _build(project, into)
    except OSError as failure:
        raise BuildFailed(f"cannot write the build: {failure.strerror}", folder=into) from None


def _build(project: Project, into: Path) -> Built:
    component, stamp = into / f"{project.name}.wasm", into / f"{project.name}.json"
    inputs = _inputs_hash(project)
    known = _known(stamp, component, inputs)
    if known is not None:
        return Built(project.name, component, known, fresh=False)
    made = _make_python(project, into) if project.language == "python" else _make_wat(project)
    identity = hashlib.sha256(made).digest()
    stamp.unlink(missing_ok=True)  # a crash between the two files must not leave a stamp that lies
    _replace(component, made)
    facts = {"inputs": inputs, "component": identity.hex(), "bytes": len(made)}
    _replace(stamp, json.dumps(facts, indent=1).encode())
    return Built(project.name, component, identity, fresh=True)


def compile_into(cache: CodeCache, built: Iterable[Built]) -> dict[str, Found]:
    """Have the machine code of every component in the cache; load none that is there already."""
    settings = EngineSettings()
    found = {}
    missing = []
    for one in built:
        if cache.holds(one.identity, settings.text()):
            found[one.name] = Found.HIT
        else:
            missing.append(one)
    if missing:
        with Sandbox(settings, cache) as sandbox:
            for one in missing:
                found[one.name] = sandbox.load(one.component.read_bytes()).code
    return found


@contextmanager
def _only_builder(lock: Path) -> Iterator[None]:
    """Wait for another process that builds the same guest: then its build is the one to use."""
    with lock.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _known(stamp: Path, component: Path, inputs: str) -> bytes | None:
    """Return the identity of a component that is up to date, going by its stamp and its size."""
    try:
        facts = json.loads(stamp.read_bytes())
        if facts["inputs"] == inputs and component.stat().st_size == facts["bytes"]:
            return bytes.fromhex(facts["component"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return None


def _inputs_hash(project: Project) -> str:
    files: list[Path] = []
    if project.language == "python":
        builder = f"componentize-py {_version('componentize-py')} module={project.module}"
        files = [WIT, *_python_files(SDK)]
        for path in project.paths:
            if not path.is_dir():
                raise BadProject("a folder of paths does not exist", path=path)
            files += _python_files(path)
    else:
        builder = f"wasmtime {_version('wasmtime')}"
        assert project.source is not None
        files = [project.source]
    digest = hashlib.sha256(f"{_FORMAT}\n{builder}\n".encode())
    for file in files:
        digest.update(hashlib.sha256(_read(file)).digest() + file.name.encode() + b"\n")
    return digest.hexdigest()


def _python_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*.py") if "build" not in file.relative_to(folder).parts)


def _make_wat(project: Project) -> bytes:
    assert project.source is not None
    return component_bytes(_read(project.source))


def _make_python(project: Project, into: Path) -> bytes:
    """Run componentize-py in a process of its own: it prints, and may exit."""
    if importlib.util.find_spec("componentize_py") is None:
        raise BuilderMissing("componentize-py is not installed")
    with tempfile.TemporaryDirectory(dir=into, prefix=".building-") as folder:
        entry = Path(folder) / f"{_ENTRY_MODULE}.py"
        entry.write_text(
            "from lockgate_guest.component import component\n"
            f"from {project.module} import guest\n"
            "Handler = component(guest)\n"
        )
        made = Path(folder) / "guest.wasm"
        command = [sys.executable, "-c", "import sys, componentize_py; sys.exit(componentize_py.script())"]
        command += ["-d", str(WIT), "-w", "guest", "componentize", "--stub-wasi", _ENTRY_MODULE, "-o", str(made)]
        # The project's folders come first: a module there that shadows one of ours is the author's doing.
        for path in (*project.paths, SDK, Path(folder)):
            command += ["-p", str(path)]
        # Without one, componentize-py puts everything that is installed here on the guest's path.
        empty = Path(folder) / "empty"
        (empty / "lib" / "site-packages").mkdir(parents=True)
        environment = {**os.environ, "VIRTUAL_ENV": str(empty), "RUST_BACKTRACE": "0"}
        try:
            done = subprocess.run(  # noqa: S603  # our own interpreter, our own arguments, no shell
                command, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, env=environment, check=False
            )
        except subprocess.TimeoutExpired:
            raise BuildFailed("the builder did not end", guest=project.name, seconds=BUILD_TIMEOUT_S) from None
        if done.returncode != 0 or not made.is_file():
            words = (done.stderr or done.stdout).strip()
            words = (words.partition("AssertionError: ")[2] or words)[-MAX_BUILDER_TEXT:]
            raise BuildFailed(f"componentize-py: {words}", guest=project.name)
        return made.read_bytes()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as wrong:
        raise BadProject(f"cannot read a source: {wrong.strerror}", file=path) from None


def _replace(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def main(arguments: Sequence[str] | None = None) -> int:
    """Build and compile the shipped guests; print one line for each."""
    from lockgate.runtime.wasm import shipped  # noqa: PLC0415  # it imports this module

    parser = argparse.ArgumentParser(prog="lockgate.runtime.wasm.build", description="Build the shipped guests.")
    parser.add_argument("names", nargs="*", help=f"which guests (default: all): {', '.join(shipped.NAMES)}")
    names = parser.parse_args(arguments).names or shipped.NAMES
    try:
        projects = [read_project(shipped.source_folder(name)) for name in names]
        with ThreadPoolExecutor(max_workers=2) as pool:  # each builder uses about one core
            built = list(pool.map(lambda project: build(project, shipped.build_folder()), projects))
        code = compile_into(shipped.code_cache(), built)
    except LockgateError as failure:
        sys.stderr.write(f"{failure}\n{failure.next_step}\n")
        return 1
    for one in built:
        state = "built" if one.fresh else "up to date"
        compiled = "compiled" if code[one.name] is not Found.HIT else "code in the cache"
        sys.stdout.write(f"{one.name}: {state}, {compiled}, {one.identity.hex()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
