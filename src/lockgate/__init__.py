"""Lockgate: sealed, proven messages between isolated execution environments and their ledgers.

Read `docs/explanation/architecture.md` for the layers. Imports point down, see `pyproject.toml`.
"""

from lockgate.primitives.version import VERSION

__version__ = VERSION
