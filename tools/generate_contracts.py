"""Compile contracts/*.vy into src/lockgate/relay/chains/evm/*.json: `python tools/generate_contracts.py [--check]`.

The compiler stands in an environment of its own (tools/outside.py), pinned with hashes, so the same source gives the
same bytes anywhere. `--check` compiles and compares; without the compiler it compares only the sources' hashes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
SOURCES = REPO / "contracts"
COMPILED = REPO / "src" / "lockgate" / "relay" / "chains" / "evm"
IMPORT = re.compile(r"^from modules import (\w+)$", re.M)
VYPER = REPO / ".venv-tools" / "vyper" / "bin" / "vyper"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    check = parser.parse_args().check
    complaints = []
    for source in sorted(SOURCES.glob("*.vy")):
        target = COMPILED / f"{source.stem}.json"
        if not VYPER.exists():
            if not target.exists() or json.loads(target.read_text())["source_sha256"] != sha256(source):
                complaints.append(f"{target.name} is of another {source.name}; run tools/outside.py, then this")
            continue
        text = compiled(source)
        if not check:
            target.write_text(text)
        elif not target.exists() or target.read_text() != text:
            complaints.append(f"{target.name} differs from what {source.name} compiles to; run make generate")
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


def compiled(source: Path) -> str:
    """Return the artefact of one contract: its interface, its creation code, and the hash of its sources."""
    # compiled from the folder itself: the path is no part of what comes out
    done = subprocess.run(
        [VYPER, "-f", "abi,bytecode", source.name], cwd=SOURCES, capture_output=True, text=True, check=True
    )
    abi, bytecode = [line for line in done.stdout.splitlines() if line][-2:]
    values = {"abi": json.loads(abi), "bytecode": bytecode, "source_sha256": sha256(source)}
    return json.dumps(values, indent=1, sort_keys=True) + "\n"


def sha256(source: Path) -> str:
    """Hash a contract's source with those of the modules it imports, each once, by name."""
    found: dict[str, bytes] = {}
    waiting = [source]
    while waiting:
        path = waiting.pop()
        if path.name not in found:
            found[path.name] = path.read_bytes()
            waiting += [SOURCES / "modules" / f"{name}.vy" for name in IMPORT.findall(found[path.name].decode())]
    return hashlib.sha256(b"".join(hashlib.sha256(found[name]).digest() for name in sorted(found))).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
