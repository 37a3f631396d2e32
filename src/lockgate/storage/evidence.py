"""Evidence on disk: what a host keeps for people when somebody broke the protocol.

One file for one finding, named by its content, so that finding the same again writes nothing. Files are
readable by their owner only; they are never overwritten and never removed by the program.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from lockgate.storage.ledger import named_failures


class EvidenceFolder:
    """Meets `hosting.forks.Evidence`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, kind: str, document: bytes, /) -> str:
        """Write one document durably; returns its path."""
        path = self._folder / f"{kind}-{hashlib.sha256(document).hexdigest()[:16]}.cbor"
        with named_failures():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                return str(path)
            with os.fdopen(handle, "wb") as file:
                file.write(document)
                file.flush()
                os.fsync(file.fileno())
        return str(path)


__all__ = ("EvidenceFolder",)
