"""Puts the guest SDK and the shipped guests' modules on the path, as a guest's builder does."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
for folder in (
    "src/lockgate/runtime/wasm/sdk",
    "guests/options",
    "guests/iv-solver",
    "guests/quote-sender",
):
    sys.path.append(str(ROOT / folder))
