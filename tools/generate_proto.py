"""Generate `src/lockgate/codec/wire/*_pb2.py` and `.pyi` from `schemas/proto`.

    python tools/generate_proto.py            write the modules
    python tools/generate_proto.py --check    fail when the committed modules differ

protoc names modules after the folders of the `.proto` files (`lockgate.wire`); the modules live one
package deeper, so the imports between them are rewritten to `lockgate.codec.wire`. Needs grpcio-tools.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc  # type: ignore[import-untyped]

REPO = Path(__file__).resolve().parents[1]
SCHEMAS = REPO / "schemas" / "proto"
TARGET = REPO / "src" / "lockgate" / "codec" / "wire"
PROTO_PACKAGE = "lockgate.wire"
PYTHON_PACKAGE = "lockgate.codec.wire"
INIT = '''"""Generated protobuf modules; `tools/generate_proto.py` writes them from `schemas/proto`.

Field numbers are those of the standards, package names are ours, so that no other package's
descriptors collide. Type URLs are constants in `lockgate.codec.type_urls`.
"""
'''


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    check = parser.parse_args().check
    wanted = generate()
    present = {path.name: path.read_text() for path in TARGET.glob("*.py*") if path.is_file()}
    stale = sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))
    if check:
        for name in stale:
            print(f"{TARGET / name}: differs from schemas/proto; run python tools/generate_proto.py")
        return 1 if stale else 0
    TARGET.mkdir(parents=True, exist_ok=True)
    for name in stale:
        if name in wanted:
            (TARGET / name).write_text(wanted[name])
        else:
            (TARGET / name).unlink()
    print(f"{len(stale)} of {len(wanted)} modules written to {TARGET}")
    return 0


def generate() -> dict[str, str]:
    """Return file name -> text of every module of the package, without touching the work tree."""
    sources = sorted((SCHEMAS / "lockgate" / "wire").glob("*.proto"))
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        well_known = stack.enter_context(resources.as_file(resources.files("grpc_tools") / "_proto"))
        status = protoc.main(
            [
                "protoc",
                f"--proto_path={SCHEMAS}",
                f"--proto_path={well_known}",
                f"--python_out={scratch}",
                f"--pyi_out={scratch}",
                *map(str, sources),
            ]
        )
        if status != 0:
            raise SystemExit(f"protoc failed with status {status}")
        folder = Path(scratch, *PROTO_PACKAGE.split("."))
        modules = {path.name: _absolute_imports(path.read_text()) for path in folder.iterdir()}
    return {"__init__.py": INIT, **modules}


def _absolute_imports(text: str) -> str:
    return re.sub(
        rf"^from {re.escape(PROTO_PACKAGE)} import", f"from {PYTHON_PACKAGE} import", text, flags=re.MULTILINE
    )


if __name__ == "__main__":
    sys.exit(main())
