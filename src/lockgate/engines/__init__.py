"""Engines order transactions and persist what the machine decides.

- `embedded`: one process, SQLite, real v0.38 headers signed by local validator keys
"""

__all__ = ("embedded",)
