"""What both sides hold after a handshake: the exporter, and key update. Source: RFC 9528 §4.2, appendix H."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

from lockgate.session.edhoc.credentials import Credential
from lockgate.session.edhoc.schedule import Info, kdf, secret
from lockgate.session.edhoc.suites import CipherSuite


@dataclass(frozen=True, slots=True)
class Established:
    """A finished handshake. `transcript` is TH_4; `prk_out` the one secret everything after it comes from."""

    suite: CipherSuite
    c_i: bytes
    c_r: bytes
    peer: Credential
    transcript: bytes
    prk_out: bytes = field(repr=False)

    def export(self, label: int, context: bytes, length: int) -> bytes:
        """EDHOC_Exporter: `length` bytes for one purpose. Raises WrongLength beyond 255 hash lengths."""
        prk_exporter = secret(self.suite, self.prk_out, Info.PRK_EXPORTER, b"")
        return kdf(self.suite, prk_exporter, label, context, length)

    def updated(self, context: bytes) -> Self:
        """EDHOC_KeyUpdate: the same session under a new secret; whoever drops the old one cannot go back."""
        return replace(self, prk_out=secret(self.suite, self.prk_out, Info.KEY_UPDATE, context))


__all__ = ("Established",)
