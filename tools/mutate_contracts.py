"""Spoil one line of contracts/ at a time and see whether a test notices: `python tools/mutate_contracts.py`.

    --seed N       which mutants, and in which order (1)
    --minutes M    when to stop (20)
    --count N      how many at most
    --only WORD    of the file, or the file and line (`lanes.vy`, `lanes.vy:93`)
    --kind WORD    of a kind that starts so (`check`, `bound`)
    --list         name them, run nothing

A mutant is one change of one line: a comparison, an operator, a bound by one, a logical word, two arguments swapped, a
check, a write, a lock or a call taken away. It is compiled in a copy of the repository, beside the contracts as they
are, and judged by the tests of `tests/interop/evm` that need nothing but a node. One whose code is the same, that does
not compile, or that no node would create is not counted. A mutant that no test refuses is a survivor: either a test is
missing, or the change changes nothing, and then a comment in the source should say why it cannot.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

REPO = Path(__file__).resolve().parents[1]
SOURCES: Final = Path("contracts")
COMPILED: Final = Path("src", "lockgate", "relay", "chains", "evm")
TESTS: Final = Path("tests", "interop", "evm")
VYPER = REPO / ".venv-tools" / "vyper" / "bin" / "vyper"
MAX_CODE: Final = 24_576  # bytes of a contract's code: EIP-170
MUTANT_SECONDS: Final = 300  # the whole of the tests takes one; a mutant that takes longer is noticed
TOLD: Final = 100  # characters of a line in the report

OF_HOST: Final = ("host_bounds", "packets", "sharing", "lanes", "applications", "evidence", "incidents")
OF_ATTESTED: Final = ("attested_bounds", "attested", "evidence", "lanes", "incidents")
FIRST: Final = {  # who is likely to notice: the run of a mutant ends with the first failure
    "modules/applications.vy": ("applications", "sharing"),
    "modules/ibc.vy": ("packets",),
    "modules/lanes.vy": ("host_bounds", "sharing", "lanes"),
}

SWAPS: Final[tuple[tuple[str, str, str], ...]] = (
    ("comparison", r"(?<![<>=!])<(?![<=])", "<="),
    ("comparison", r"<=", "<"),
    ("comparison", r"(?<![<>=!-])>(?![>=])", ">="),
    ("comparison", r"(?<!>)>=", ">"),
    ("comparison", r"==", "!="),
    ("comparison", r"!=", "=="),
    ("arithmetic", r"(?<=[\w)\]]) \+ (?=[\w(])", " - "),
    ("arithmetic", r"(?<=[\w)\]]) - (?=[\w(])", " + "),
    ("arithmetic", r"(?<=[\w)\]]) \* (?=[\w(])", " + "),
    ("arithmetic", r"unsafe_add\(", "unsafe_sub("),
    ("arithmetic", r"unsafe_sub\(", "unsafe_add("),
    ("arithmetic", r"<<", ">>"),
    ("arithmetic", r">>", "<<"),
    ("arithmetic", r" & ", " | "),
    ("arithmetic", r" \| ", " & "),
    ("logic", r"\band\b", "or"),
    ("logic", r"\bor\b", "and"),
    ("logic", r"\bif not\b", "if"),
    ("logic", r"\bTrue\b", "False"),
    ("logic", r"\bFalse\b", "True"),
)
NUMBER: Final = re.compile(r"(?<![\w.])(\d[\d_]*)(?![\w.])")
ARGUMENTS: Final = re.compile(r"(?<=\()([\w.]+), ([\w.]+)(?=[,)])")
TAKEN: Final = (
    ("check taken away", re.compile(r"(\s+)assert .*\S$")),
    ("write taken away", re.compile(r"(\s+)self\.[\w.\[\]<| ()-]+ (?:[-+|&]?=|>>=) .*[^({\[,]$")),
    ("assignment taken away", re.compile(r"(\s+)\w+(?:\[\w+\])? (?:[-+|&]|>>)?= .*[^({\[,]$")),
    ("call taken away", re.compile(r"(\s+)(?:lanes|applications|self|extcall)[. ][\w.]*\(.*\)$")),
    ("event taken away", re.compile(r"(\s+)log \w+\(.*\)$")),
)
LOCK: Final = re.compile(r"@nonreentrant$")


@dataclass(frozen=True, slots=True)
class Mutant:
    """A line that is spoilt."""

    source: str  # below contracts/
    line: int  # from 1
    kind: str
    before: str
    after: str

    @property
    def contract(self) -> str:
        """The contract that the line is compiled into; modules are the host's."""
        return "attested" if self.source == "attested.vy" else "host"

    @property
    def tests(self) -> tuple[str, ...]:
        """All that its contract has, in the order in which they are asked."""
        every = OF_HOST if self.contract == "host" else OF_ATTESTED
        return tuple(dict.fromkeys((*FIRST.get(self.source, ()), *every)))

    def __str__(self) -> str:
        change = f"{self.before.strip()[:TOLD]}  →  {self.after.strip()[:TOLD]}"
        return f"{self.source}:{self.line}  {self.kind}: {change}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--count", type=int, default=sys.maxsize)
    parser.add_argument("--only", default="")
    parser.add_argument("--kind", default="")
    parser.add_argument("--list", action="store_true")
    asked = parser.parse_args()
    mutants = [one for one in every() if asked.only in f"{one.source}:{one.line}" and one.kind.startswith(asked.kind)]
    random.Random(asked.seed).shuffle(mutants)
    if asked.list:
        print(*mutants, sep="\n")
        return 0
    if not VYPER.exists():
        print("Vyper is not installed: `make interop` installs it and the node.")
        return 1
    deadline = time.monotonic() + asked.minutes * 60
    with tempfile.TemporaryDirectory(prefix="mutants") as folder:
        return judge(mutants, asked.count, deadline, Copy(Path(folder)))


def judge(mutants: Sequence[Mutant], most: int, deadline: float, copy: Copy) -> int:
    """Run mutants until time or number is spent, and print what became of them."""
    for contract in sorted({mutant.contract for mutant in mutants}):
        if not copy.passes(OF_HOST if contract == "host" else OF_ATTESTED):
            print("The tests fail on the contracts as they are: no mutant can be judged.")
            return 1
    found: Counter[str] = Counter()
    survivors = []
    for mutant in mutants:
        if found["killed"] + found["survived"] >= most or time.monotonic() > deadline:
            break
        fate = copy.fate(mutant)
        found[fate] += 1
        print(f"{fate:12} {mutant}", flush=True)
        if fate == "survived":
            survivors.append(mutant)
    judged = found["killed"] + found["survived"]
    print(f"\n{len(mutants)} mutants, {judged} judged: {found['killed']} killed, {found['survived']} survived")
    print(f"not counted: {found['same code']} of the same code, {found['impossible']} that do not compile or fit")
    print(*(f"survived: {mutant}" for mutant in sorted(survivors, key=lambda one: (one.source, one.line))), sep="\n")
    return 0


def every() -> Iterator[Mutant]:
    """All mutants of all contracts but the example, in the order of the sources."""
    for path in sorted((*(REPO / SOURCES).glob("*.vy"), *(REPO / SOURCES / "modules").glob("*.vy"))):
        if path.name != "echo.vy":
            source = str(path.relative_to(REPO / SOURCES))
            for number, line in code_lines(path.read_text()):
                for kind, after in spoilt(line):
                    yield Mutant(source, number, kind, line, after)


def code_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that say what is done: no comments, docstrings, declarations or signatures."""
    inside, quoted = False, False
    for number, line in enumerate(text.split("\n"), 1):
        if line.count('"""') == 1:
            quoted = not quoted
        elif quoted or '"""' in line or not line.strip() or line.lstrip().startswith("#"):
            continue
        elif line.startswith(" "):
            if inside:
                yield number, line
        elif LOCK.match(line):
            yield number, line
        else:  # a declaration; a function's body begins behind the colon of its signature
            inside = line.startswith((")", "def ")) and line.endswith(":")


def spoilt(line: str) -> Iterator[tuple[str, str]]:
    """Every change of a line, with its kind."""
    if LOCK.match(line):
        yield "lock taken away", ""
        return
    for kind, pattern in TAKEN:
        found = pattern.match(line)
        if found:
            yield kind, found[1] + "pass"
    words = [found.span() for found in re.finditer(r'"[^"]*"', line)]
    code = line.split("  #", maxsplit=1)[0]

    def outside(at: int) -> bool:
        return at < len(code) and not any(low <= at < high for low, high in words)

    def put(low: int, high: int, text: str) -> str:
        return line[:low] + text + line[high:]

    for kind, swap, other in SWAPS:
        for found in re.finditer(swap, code):
            if outside(found.start()):
                yield kind, put(*found.span(), other)
    for found in NUMBER.finditer(code):
        if outside(found.start()):
            number = int(found[1].replace("_", ""))
            for near in {number + 1, max(0, number - 1)} - {number}:
                yield "bound", put(*found.span(), str(near))
    for found in ARGUMENTS.finditer(code):
        if outside(found.start()) and found[1] != found[2]:
            yield "arguments", put(*found.span(), f"{found[2]}, {found[1]}")


class Copy:
    """A copy of the repository, in which contracts are spoilt."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in ("contracts", "src", "tests"):
            shutil.copytree(REPO / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(REPO / "pyproject.toml", folder)
        (folder / ".venv-tools").symlink_to((REPO / ".venv-tools").resolve())
        self._code = {name: self._compile(name) for name in ("host", "attested")}
        self._good = {name: self._artefact(name).read_text() for name in self._code}

    def fate(self, mutant: Mutant) -> str:
        """Return `killed`, `survived`, `same code` or `impossible`."""
        path = self._folder / SOURCES / mutant.source
        kept = path.read_text()
        lines = kept.split("\n")
        assert lines[mutant.line - 1] == mutant.before
        lines[mutant.line - 1] = mutant.after
        path.write_text("\n".join(lines))
        try:
            code = self._compile(mutant.contract)
            if code is None:
                return "impossible"
            if code == self._code[mutant.contract]:
                return "same code"
            return "survived" if self.passes(mutant.tests) else "killed"
        finally:
            path.write_text(kept)
            self._artefact(mutant.contract).write_text(self._good[mutant.contract])

    def passes(self, names: Sequence[str]) -> bool:
        """Whether the tests find nothing wrong with what stands in the copy."""
        files = [str(TESTS / f"test_{name}.py") for name in names]
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *files]
        environment = {**os.environ, "PYTHONPATH": f"{self._folder / 'src'}:{self._folder}"}
        process = subprocess.Popen(
            command,
            cwd=self._folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return process.wait(MUTANT_SECONDS) == 0
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)  # with the node that it started
            process.wait()
            return False

    def _compile(self, contract: str) -> str | None:
        """Put a contract's artefact in its place, and return its creation code; None where there is none to be had."""
        command = [str(VYPER), "-f", "abi,bytecode,bytecode_runtime", f"{contract}.vy"]
        done = subprocess.run(command, cwd=self._folder / SOURCES, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return None
        abi, bytecode, runtime = [line for line in done.stdout.splitlines() if line][-3:]
        if len(runtime) // 2 - 1 > MAX_CODE:
            return None
        values = {"abi": json.loads(abi), "bytecode": bytecode, "source_sha256": ""}
        self._artefact(contract).write_text(json.dumps(values))
        return str(bytecode)

    def _artefact(self, contract: str) -> Path:
        return self._folder / COMPILED / f"{contract}.json"


if __name__ == "__main__":
    sys.exit(main())
