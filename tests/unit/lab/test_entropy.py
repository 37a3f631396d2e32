"""Seeded entropy replays, and its streams do not touch each other (I13)."""

from __future__ import annotations

import ast
from pathlib import Path

import lockgate
from lockgate.crypto import hpke
from lockgate.crypto.suites import SEAL_XWING_AES
from lockgate.lab.entropy import SeededEntropy

SOURCES = Path(lockgate.__file__).parent


def test_a_seed_is_a_run():
    def run(seed):
        entropy = SeededEntropy(seed)
        key = SEAL_XWING_AES.kem.derive_key(entropy.bytes(32))
        return hpke.seal(SEAL_XWING_AES.hpke, key.public_key, b"", entropy, aad=b"", plaintext=b"body")

    assert run(b"1") == run(b"1")
    assert run(b"1") != run(b"2")


def test_forks_are_independent():
    one, other = SeededEntropy(b"s"), SeededEntropy(b"s")
    assert one.fork("a").bytes(16) == other.fork("a").bytes(16)
    other.fork("a").bytes(16)
    assert one.bytes(16) == other.bytes(16)
    assert len({one.fork(label).bytes(16) for label in ("a", "b", "")}) == 3


def test_only_the_lab_imports_the_pure_python_libraries():
    found = set()
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            if any(name.split(".")[0] in {"kyber_py", "dilithium_py"} for name in names):
                found.add(path.relative_to(SOURCES).parts[0])
    assert found == {"lab"}
