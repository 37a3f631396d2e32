"""Keys inside a TPM 2.0, bound to what the machine was started with. Sources: TCG TPM 2.0 Library, parts 1–3; P22.

A TPM keeps few keys. It wraps each under its storage primary key, which it can make again at any time, and gives
it out as a blob (`blobs`) that no other TPM opens. A key can be used under one policy only: that the chosen PCRs
have the values they had when it was made. So another kernel, boot loader or firmware, as far as PCRs measure
it, gets no signature, and a disk in another machine gets none either.

Each use loads the key, opens a policy session and lets both go: TPMs hold three of either. Sessions are salted
with the primary key and encrypt what passes the bus. TPMs have P-256 and no Ed25519.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeVar

from lockgate.crypto.ec import P256
from lockgate.keystore.blobs import Blob, BlobFolder
from lockgate.keystore.errors import (
    DeviceAbsent,
    DeviceFailed,
    DeviceKeyExists,
    DeviceKeyMissing,
    DeviceKeyUnsafe,
    DeviceLacksAlgorithm,
    DeviceLibraryAbsent,
    OtherTpm,
    PlatformChanged,
)
from lockgate.keystore.place import TpmPlace
from lockgate.keystore.ports import GROUPS, Description, Kind
from lockgate.primitives.errors import LockgateError

T = TypeVar("T")
ALGORITHMS: Final = frozenset({"ES256", "P-256"})
MAX_SEALED_BYTES: Final = 128  # MAX_SYM_DATA of part 2
# Response codes, part 2 §6.6; of format-one codes the seven bits without parameter and session number.
_POLICY_FAIL: Final = 0x9D
_INTEGRITY: Final = 0x9F
_PCR_CHANGED: Final = 0x128
_GONE: Final = (0x100, 0x910, 0x911, 0x918)  # INITIALIZE, three of REFERENCE: it was reset, and knows nothing of us
_NAMES: Final = (0x105, 0x106, 0x107)  # TPM_PT_MANUFACTURER, TPM_PT_VENDOR_STRING_1 and _2 (part 2 §6.13)
_LAYER: Final = 0xFF0000
_TCTI: Final = 0x0A0000  # the transport's own errors
_FORMAT_ONE: Final = 0x80
_BANK: Final = "sha256"


class Tpm:
    """Meets `Device`. Opens the TPM when it is first needed, and again when its answer did not come."""

    kind: Final = Kind.TPM

    def __init__(self, place: TpmPlace, folder: Path) -> None:
        """`folder` takes the blobs. Raises DeviceLibraryAbsent."""
        # The library would print what is no error of ours, a policy that does not hold, on the standard error.
        os.environ.setdefault("TSS2_LOG", "all+NONE")
        try:
            self._api: Any = importlib.import_module("tpm2_pytss")  # an extra: Any, because it may be absent
        except ImportError as error:
            raise DeviceLibraryAbsent("tpm2-pytss is not installed, or libtss2 is not") from error
        self._place = place
        self._blobs = BlobFolder(folder)
        self._tpm: Any = None
        self._primary: Any = None

    def __repr__(self) -> str:
        return f"Tpm({self._place.tcti})"

    def describe(self) -> Description:
        names = self._run(self._properties)
        maker, vendor = names[0], "".join(names[1:]).strip()
        warning = "a simulator: its keys lie on a disk" if "SW" in vendor and "TPM" in vendor else ""
        bound = f"PCRs {', '.join(map(str, self._place.pcrs))} as they are now"
        return Description(Kind.TPM, f"TPM 2.0 of {maker.strip()}, {vendor}", bound, warning)

    @property
    def algorithms(self) -> frozenset[str]:
        return ALGORITHMS

    def generate(self, label: str, algorithm: str, /) -> bytes:
        if algorithm not in ALGORITHMS:
            raise DeviceLacksAlgorithm(algorithm=algorithm, device=repr(self))
        if self._blobs.read(label) is not None:
            raise DeviceKeyExists(label=label)
        agrees = algorithm in GROUPS

        def make() -> tuple[Any, Any]:
            api = self._api
            flags = api.TPMA_OBJECT
            use = flags.DECRYPT if agrees else flags.SIGN_ENCRYPT
            template = api.TPM2B_PUBLIC.parse(
                "ecc256:null" if agrees else "ecc256:ecdsa-sha256:null",
                objectAttributes=flags.FIXEDTPM | flags.FIXEDPARENT | flags.SENSITIVEDATAORIGIN | flags.NODA | use,
                authPolicy=self._policy(self._place.pcrs),
            )
            return self._create(api.TPM2B_SENSITIVE_CREATE(), template)

        private, public = self._run(make)
        blob = Blob(label, self._place.pcrs, private.marshal(), public.marshal())
        point = self._run(lambda: self._checked(blob, algorithm))  # it measures the PCRs again
        self._blobs.write(blob)
        return point

    def public_key(self, label: str, algorithm: str, /) -> bytes:
        blob = self._blob(label)

        def look() -> bytes:
            with self._loaded(blob):  # the TPM itself says that the two halves of the blob belong together
                return self._checked(blob, algorithm)

        return self._run(look)

    def sign(self, label: str, algorithm: str, message: bytes, /) -> bytes:
        api, blob = self._api, self._blob(label)
        digest = api.TPM2B_DIGEST(sha256(message).digest())
        scheme = api.TPMT_SIG_SCHEME(scheme=api.TPM2_ALG.NULL)  # the key's own: ECDSA with SHA-256
        ticket = api.TPMT_TK_HASHCHECK(tag=api.TPM2_ST.HASHCHECK, hierarchy=api.TPM2_RH.NULL)

        def use() -> bytes:
            with self._loaded(blob) as key, self._session(api.TPM2_SE.POLICY, blob.pcrs) as session:
                answer = self._tpm.sign(key, digest, scheme, ticket, session1=session)
            made = answer.signature.ecdsa  # a view: it is gone with the answer, so that must have a name
            return bytes(made.signatureR).rjust(32, b"\0") + bytes(made.signatureS).rjust(32, b"\0")

        return self._run(use)

    def agree(self, label: str, algorithm: str, peer: bytes, /) -> bytes:
        api, blob, size = self._api, self._blob(label), P256.coordinate_bytes
        point = api.TPM2B_ECC_POINT(api.TPMS_ECC_POINT(x=peer[1 : 1 + size], y=peer[1 + size :]))

        def use() -> bytes:
            with self._loaded(blob) as key, self._session(api.TPM2_SE.POLICY, blob.pcrs) as session:
                shared = self._tpm.ecdh_zgen(key, point, session1=session)
            return bytes(shared.point.x).rjust(size, b"\0")

        return self._run(use)

    def seal(self, label: str, secret: bytes, /) -> None:
        """Wrap a secret of ours, of at most 128 bytes, under the same policy. Raises DeviceKeyExists."""
        if self._blobs.read(label) is not None:
            raise DeviceKeyExists(label=label)

        def make() -> tuple[Any, Any]:
            api = self._api
            flags = api.TPMA_OBJECT
            template = api.TPM2B_PUBLIC.parse(
                "keyedhash",
                objectAttributes=flags.FIXEDTPM | flags.FIXEDPARENT | flags.NODA,
                authPolicy=self._policy(self._place.pcrs),
            )
            return self._create(api.TPM2B_SENSITIVE_CREATE(api.TPMS_SENSITIVE_CREATE(data=secret)), template)

        private, public = self._run(make)
        self._blobs.write(Blob(label, self._place.pcrs, private.marshal(), public.marshal()))

    def unseal(self, label: str, /) -> bytes:
        """Raises DeviceKeyMissing, PlatformChanged, OtherTpm."""
        blob = self._blob(label)

        def use() -> bytes:
            with self._loaded(blob) as key, self._session(self._api.TPM2_SE.POLICY, blob.pcrs) as session:
                return bytes(self._tpm.unseal(key, session1=session))

        return self._run(use)

    def erase(self, label: str, /) -> None:
        # A copy of the blob would still open in this TPM under this policy; only clearing the TPM ends that.
        self._blobs.remove(label)

    def labels(self) -> tuple[str, ...]:
        return tuple(sorted(blob.label for blob in self._blobs.all()))

    def close(self) -> None:
        tpm, self._tpm, primary, self._primary = self._tpm, None, self._primary, None
        if tpm is not None:
            with suppress(self._api.TSS2_Exception):  # it is away, and forgot everything
                tpm.flush_context(primary)
            tpm.close()

    def _run(self, work: Callable[[], T]) -> T:
        """Do it; where the TPM turns out to have gone, open it again and do it once more."""
        for last in (False, True):
            try:
                self._open()
                return work()
            except LockgateError:
                raise
            except self._api.TSS2_Exception as error:
                self._judge(error, last=last)
        raise AssertionError("unreachable")

    def _judge(self, error: Any, *, last: bool) -> None:
        """Name what the TPM answered. Returns where another try may help."""
        code = error.rc & 0xFFF if error.rc & _LAYER == 0 else 0
        kind = code & 0xBF if code & _FORMAT_ONE else code
        if kind in (_POLICY_FAIL, _PCR_CHANGED):
            raise PlatformChanged(pcrs=" ".join(map(str, self._place.pcrs)), device=repr(self)) from error
        if kind == _INTEGRITY:
            raise OtherTpm(device=repr(self)) from error
        if error.rc & _LAYER != _TCTI and code not in _GONE:
            raise DeviceFailed(device=repr(self), answer=f"{error.rc:#x}", text=str(error)) from error
        with suppress(self._api.TSS2_Exception):
            self.close()
        if last:
            raise DeviceAbsent(device=repr(self), answer=f"{error.rc:#x}") from error

    def _open(self) -> None:
        if self._tpm is not None:
            return
        api = self._api
        flags = api.TPMA_OBJECT
        tpm = api.ESAPI(self._place.tcti)
        try:
            template = api.TPM2B_PUBLIC.parse(
                "ecc256:aes128cfb",
                objectAttributes=flags.FIXEDTPM
                | flags.FIXEDPARENT
                | flags.SENSITIVEDATAORIGIN
                | flags.USERWITHAUTH
                | flags.NODA
                | flags.RESTRICTED
                | flags.DECRYPT,
            )
            self._primary = tpm.create_primary(api.TPM2B_SENSITIVE_CREATE(), template)[0]
        except BaseException:
            tpm.close()
            raise
        self._tpm = tpm

    def _properties(self) -> list[str]:
        api = self._api
        found = []
        for number in _NAMES:
            answer = self._tpm.get_capability(api.TPM2_CAP.TPM_PROPERTIES, number, 1)[1]
            value = int(answer.data.tpmProperties.tpmProperty[0].value)
            found.append(value.to_bytes(4).decode("ascii", errors="replace").replace("\x00", ""))
        return found

    def _create(self, sensitive: Any, template: Any) -> tuple[Any, Any]:
        with self._session(self._api.TPM2_SE.HMAC, ()) as session:
            private, public, *_ = self._tpm.create(self._primary, sensitive, template, session1=session)
        return private, public

    @contextmanager
    def _loaded(self, blob: Blob) -> Iterator[Any]:
        api = self._api
        try:
            private = api.TPM2B_PRIVATE.unmarshal(blob.private)[0]
            public = api.TPM2B_PUBLIC.unmarshal(blob.public)[0]
        except api.TSS2_Exception as error:
            raise OtherTpm("the blob does not parse", label=blob.label) from error
        key = self._tpm.load(self._primary, private, public)
        try:
            yield key
        finally:
            with suppress(api.TSS2_Exception):
                self._tpm.flush_context(key)

    @contextmanager
    def _session(self, kind: Any, pcrs: tuple[int, ...]) -> Iterator[Any]:
        """A salted session that encrypts parameters; a policy session has its PCRs measured."""
        api, tpm = self._api, self._tpm
        cipher = api.TPMT_SYM_DEF(
            algorithm=api.TPM2_ALG.AES,
            keyBits=api.TPMU_SYM_KEY_BITS(aes=128),
            mode=api.TPMU_SYM_MODE(aes=api.TPM2_ALG.CFB),
        )
        session = tpm.start_auth_session(
            tpm_key=self._primary,
            bind=api.ESYS_TR.NONE,
            session_type=kind,
            symmetric=cipher,
            auth_hash=api.TPM2_ALG.SHA256,
        )
        try:
            flags = api.TPMA_SESSION
            tpm.trsess_set_attributes(session, flags.ENCRYPT | flags.DECRYPT | flags.CONTINUESESSION)
            if pcrs:
                selection = api.TPML_PCR_SELECTION.parse(f"{_BANK}:{','.join(map(str, pcrs))}")
                tpm.policy_pcr(session, api.TPM2B_DIGEST(), selection)
            yield session
        finally:
            with suppress(api.TSS2_Exception):
                tpm.flush_context(session)

    def _policy(self, pcrs: tuple[int, ...]) -> bytes:
        """The digest of the policy that these PCRs have the values they have now."""
        with self._session(self._api.TPM2_SE.TRIAL, pcrs) as session:
            return bytes(self._tpm.policy_get_digest(session))

    def _blob(self, label: str) -> Blob:
        blob = self._blobs.read(label)
        if blob is None:
            raise DeviceKeyMissing(label=label, device=repr(self))
        return blob

    def _checked(self, blob: Blob, algorithm: str) -> bytes:
        """The public key of a blob whose attributes are right. Raises DeviceKeyUnsafe, PlatformChanged."""
        api = self._api
        flags = api.TPMA_OBJECT
        public = api.TPM2B_PUBLIC.unmarshal(blob.public)[0]
        area = public.publicArea  # a view, as above
        attributes = int(area.objectAttributes)
        use, other = (flags.DECRYPT, flags.SIGN_ENCRYPT)
        if algorithm not in GROUPS:
            use, other = other, use
        required = flags.FIXEDTPM | flags.FIXEDPARENT | flags.SENSITIVEDATAORIGIN | use
        forbidden = flags.USERWITHAUTH | flags.RESTRICTED | other
        if area.type != api.TPM2_ALG.ECC or attributes & required != required or attributes & forbidden:
            raise DeviceKeyUnsafe(label=blob.label, attributes=f"{attributes:#x}")
        if bytes(area.authPolicy) != self._policy(blob.pcrs):
            raise PlatformChanged(label=blob.label, pcrs=" ".join(map(str, blob.pcrs)))
        if blob.pcrs != self._place.pcrs:
            raise DeviceKeyUnsafe("it is bound to other PCRs than the configuration names", label=blob.label)
        point, size = area.unique.ecc, P256.coordinate_bytes
        return b"\x04" + bytes(point.x).rjust(size, b"\0") + bytes(point.y).rjust(size, b"\0")


__all__ = ("ALGORITHMS", "MAX_SEALED_BYTES", "Tpm")
