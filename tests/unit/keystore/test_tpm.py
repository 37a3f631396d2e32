"""What a TPM's library raises is named, wherever it is asked; against a TPM itself: `tests/interop/test_swtpm.py`."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lockgate.keystore.errors import DeviceFailed
from lockgate.keystore.place import TpmPlace
from lockgate.keystore.tpm import Tpm


class TSS2_Exception(Exception):  # its name in the library
    rc = 0x00000903  # TPM_RC_SESSION_HANDLES: no session is left


class Half:
    def marshal(self) -> bytes:
        return b"half"


def test_a_session_that_the_tpm_refuses_while_a_key_is_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tpm2_pytss", SimpleNamespace(TSS2_Exception=TSS2_Exception))
    tpm, runs = Tpm(TpmPlace("tpm:", sealed=False), tmp_path / "tpm"), []

    def run(work: Any) -> Any:
        runs.append(work)
        return (Half(), Half()) if len(runs) == 1 else real(work)

    def refuse(*_: Any) -> bytes:
        raise TSS2_Exception

    real = tpm._run
    monkeypatch.setattr(tpm, "_run", run)
    monkeypatch.setattr(tpm, "_open", lambda: None)
    monkeypatch.setattr(tpm, "_checked", refuse)
    with pytest.raises(DeviceFailed):
        tpm.generate("label", "ES256")
    assert list(tmp_path.iterdir()) == [], "no blob of a key that was not checked"
