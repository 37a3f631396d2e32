"""Lockgate: sealed, proven messages between isolated execution environments and their ledgers.

Read `docs/explanation/architecture.md` for the layers. Imports point down, see `pyproject.toml`.
"""

__version__ = "0.1.0"
