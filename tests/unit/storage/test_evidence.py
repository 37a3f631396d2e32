"""Evidence files: one for one finding, for their owner alone."""

from __future__ import annotations

import stat
from pathlib import Path

from lockgate.storage.evidence import EvidenceFolder


def test_a_document_is_kept_once_and_for_its_owner(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path / "evidence")
    path = Path(folder.keep("two-histories", b"document"))
    assert path.read_bytes() == b"document"
    assert path.suffix == ".cbor"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_same_finding_again_writes_nothing_and_another_one_overwrites_nothing(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path)
    first = folder.keep("fenced-off", b"one")
    Path(first).chmod(0o400)
    assert folder.keep("fenced-off", b"one") == first
    assert folder.keep("fenced-off", b"two") != first
    assert len(list(tmp_path.iterdir())) == 2
