"""Where keys lie, as configuration says it: one line, never with a secret in it.

- `file`
- a PKCS#11 URI (RFC 7512): `pkcs11:token=lockgate;serial=53741b18?module-path=/usr/lib/x.so&pin-source=file:/run/pin`
- `tpm:` or `tpm-sealed:`, then `tcti=…` and `pcrs=…` between semicolons: `tpm:tcti=device:/dev/tpmrm0;pcrs=0,7`
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from lockgate.keystore.errors import BadKeystore
from lockgate.keystore.ports import Kind

MAX_TEXT: Final = 1_024
PCRS: Final = 24  # of a PC client TPM
DEFAULT_TCTI: Final = "device:/dev/tpmrm0"  # the kernel's resource manager
DEFAULT_PCRS: Final = (0, 2, 4, 7)  # firmware, option ROMs, boot loader, secure boot: what starts the kernel
_TOKEN: Final = ("token", "serial", "manufacturer", "model", "slot-id")
_QUERY: Final = ("module-path", "pin-source")
_TCTIS: Final = ("device", "swtpm", "mssim", "tabrmd")
_CHARACTERS: Final = re.compile(r"[A-Za-z0-9\-._~:\[\]@!$'()*+,=/?|%&]*")  # RFC 7512 §2.3


@dataclass(frozen=True, slots=True)
class FilePlace:
    """A file under a passphrase."""

    def __str__(self) -> str:
        return Kind.FILE.value


@dataclass(frozen=True, slots=True)
class TokenPlace:
    """One token behind one PKCS#11 library; what is None matches any."""

    text: str
    module: str
    pin_file: str | None = None  # None: a person is asked
    token: str | None = None
    serial: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    slot_id: int | None = None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class TpmPlace:
    """A TPM behind a TCTI, and the PCRs (SHA-256 bank) whose values now its keys are bound to."""

    text: str
    sealed: bool  # it only opens a file
    tcti: str = DEFAULT_TCTI
    pcrs: tuple[int, ...] = DEFAULT_PCRS

    def __str__(self) -> str:
        return self.text


Place = FilePlace | TokenPlace | TpmPlace


def parse(text: object) -> Place:
    """Raises BadKeystore."""
    if not isinstance(text, str) or len(text) > MAX_TEXT or not text.isprintable():
        raise BadKeystore("an address is a line of text", longest=MAX_TEXT)
    scheme, colon, rest = text.partition(":")
    if text == Kind.FILE:
        return FilePlace()
    if colon and scheme == "pkcs11":
        return _token(text, rest)
    if colon and scheme in (Kind.TPM, Kind.TPM_SEALED):
        return _tpm(text, rest, sealed=scheme == Kind.TPM_SEALED)
    raise BadKeystore("an address is `file`, or begins with pkcs11:, tpm: or tpm-sealed:")


def _token(text: str, rest: str) -> TokenPlace:
    path, _, query = rest.partition("?")
    found = {**_attributes(path, ";", _TOKEN), **_attributes(query, "&", _QUERY)}
    if "module-path" not in found or not found["module-path"].startswith("/"):
        raise BadKeystore("module-path names the PKCS#11 library of the token, by an absolute path")
    if not found.keys() & {"token", "serial", "slot-id"}:
        raise BadKeystore("the address names no token: give its label, its serial number, or its slot")
    slot = found.get("slot-id")
    if slot is not None and not re.fullmatch(r"[0-9]{1,20}", slot, re.ASCII):
        raise BadKeystore("slot-id is a number")
    return TokenPlace(
        text,
        found["module-path"],
        _pin_file(found.get("pin-source")),
        found.get("token"),
        found.get("serial"),
        found.get("manufacturer"),
        found.get("model"),
        None if slot is None else int(slot),
    )


def _attributes(text: str, between: str, known: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for piece in text.split(between) if text else ():
        name, equals, value = piece.partition("=")
        if name == "pin-value":
            raise BadKeystore("a PIN never stands in an address; put it into a file and name that as pin-source")
        if name not in known or not equals:
            raise BadKeystore("an attribute that names no token", attribute=name[:40])
        if name in found:
            raise BadKeystore("an attribute stands twice", attribute=name)
        if not _CHARACTERS.fullmatch(value) or re.search(r"%(?![0-9A-Fa-f]{2})", value):
            raise BadKeystore("a value has characters that must be percent-encoded", attribute=name)
        try:
            found[name] = unquote_to_bytes(value).decode()
        except UnicodeDecodeError as error:
            raise BadKeystore("a value is not UTF-8", attribute=name) from error
    return found


def _pin_file(source: str | None) -> str | None:
    if source is None:
        return None
    path = source.removeprefix("file:").removeprefix("//") if source.startswith("file:") else source
    if not path.startswith("/"):  # RFC 7512 also knows `|command`; a program is not started for a PIN
        raise BadKeystore("pin-source is a file by its absolute path")
    return path


def _tpm(text: str, rest: str, *, sealed: bool) -> TpmPlace:
    found: dict[str, str] = {}
    for piece in rest.split(";") if rest else ():
        name, equals, value = piece.partition("=")
        if name not in ("tcti", "pcrs") or not equals or name in found:
            raise BadKeystore("after tpm: stand tcti=… and pcrs=…, each at most once", attribute=name[:40])
        found[name] = value
    if found.get("tcti", DEFAULT_TCTI).partition(":")[0] not in _TCTIS:  # else it is the name of a library to load
        raise BadKeystore(f"a tcti is one of {', '.join(_TCTIS)}, and its own address after a colon")
    return TpmPlace(text, sealed, found.get("tcti", DEFAULT_TCTI), _pcrs(found.get("pcrs")))


def _pcrs(text: str | None) -> tuple[int, ...]:
    if text is None:
        return DEFAULT_PCRS
    if not re.fullmatch(r"[0-9]{1,2}(,[0-9]{1,2})*", text, re.ASCII):
        raise BadKeystore("pcrs are numbers with commas between them", given=text[:40])
    numbers = tuple(map(int, text.split(",")))
    if len(set(numbers)) != len(numbers) or max(numbers) >= PCRS:
        raise BadKeystore(f"pcrs are different numbers below {PCRS}", given=text)
    return tuple(sorted(numbers))


__all__ = ("DEFAULT_PCRS", "DEFAULT_TCTI", "FilePlace", "Place", "TokenPlace", "TpmPlace", "parse")
