"""Keys inside a PKCS#11 token. Sources: PKCS#11 v3.0 (OASIS), RFC 7512; P22.

A key is made by the token and marked so that it can never leave: CKA_TOKEN, CKA_PRIVATE, CKA_SENSITIVE, not
CKA_EXTRACTABLE. The token says whether that was so from the start (CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE,
CKA_LOCAL); all of it is read back when a key is made and whenever a process takes it up. A key signs or
agrees, never both. The secret of an agreement does come out: the rest of the KEM is computed here.

A token that was pulled and put back, or a session that was closed elsewhere, is met by logging in again once.
A PIN that was refused is never tried a second time by this process, whoever asks.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, TypeVar

from lockgate.crypto.hashes import equal
from lockgate.crypto.keys import SecretBytes
from lockgate.keystore.errors import (
    DeviceAbsent,
    DeviceAmbiguous,
    DeviceFailed,
    DeviceKeyExists,
    DeviceKeyMissing,
    DeviceKeyUnsafe,
    DeviceLacksAlgorithm,
    DeviceLibraryAbsent,
    PinLocked,
    WrongPin,
)
from lockgate.keystore.pin import read_pin
from lockgate.keystore.place import TokenPlace
from lockgate.keystore.ports import GROUPS, Description, Kind
from lockgate.primitives.errors import LockgateError

T = TypeVar("T")
MAX_KEYS: Final = 10_000  # objects that a search of the token is followed through
_EDWARDS: Final = "EC_EDWARDS"
# Algorithm → key type, mechanism that makes it, mechanism that uses it, DER of the curve's object identifier.
_ALGORITHMS: Final = {
    "Ed25519": (_EDWARDS, "EC_EDWARDS_KEY_PAIR_GEN", "EDDSA", "06032b6570"),
    "X25519": (_EDWARDS, "EC_EDWARDS_KEY_PAIR_GEN", "ECDH1_DERIVE", "06032b656e"),
    "ES256": ("EC", "EC_KEY_PAIR_GEN", "ECDSA", "06082a8648ce3d030107"),
    "P-256": ("EC", "EC_KEY_PAIR_GEN", "ECDH1_DERIVE", "06082a8648ce3d030107"),
}
_PUBLIC_BYTES: Final = {"Ed25519": 32, "X25519": 32, "ES256": 65, "P-256": 65}
# What must be true of a private key, and what must not.
_REQUIRED: Final = ("TOKEN", "PRIVATE", "SENSITIVE", "ALWAYS_SENSITIVE", "NEVER_EXTRACTABLE", "LOCAL")
_FORBIDDEN: Final = ("EXTRACTABLE", "DECRYPT", "UNWRAP", "SIGN_RECOVER")
# The device, or the session with it, is gone; with a new session the same request may succeed.
_GONE: Final = (
    "DeviceRemoved",
    "TokenNotPresent",
    "TokenNotRecognised",
    "SessionClosed",
    "SessionHandleInvalid",
    "UserNotLoggedIn",
    "KeyHandleInvalid",
    "ObjectHandleInvalid",
    "SlotIDInvalid",
    "CryptokiNotInitialized",
    "NoSuchToken",
)
_NOT_INITIALIZED: Final = "not initialized"  # CKR_CRYPTOKI_NOT_INITIALIZED, for which the binding has words only


@dataclass(slots=True)
class _Login:
    """A login is the whole process's: who ends it ends it for all. So the keystores of a token share one session."""

    session: Any  # the binding's; see `_api`
    holders: int = 1


_Where = tuple[str, int, bytes]  # module, slot, the token's serial number
_LOGINS: Final[dict[_Where, _Login]] = {}
_REFUSED: Final[dict[_Where, list[SecretBytes]]] = {}  # a token counts wrong PINs, and locks itself after a few
_TURN: Final = threading.RLock()  # one thread at a time logs in, and uses the session that all share


class Pkcs11Token:
    """Meets `Device` with one token. Opens a session when it is first needed, and again when it was lost.

    A signer may outlive the keystore that it is from: what it opens anew is let go when it is forgotten.
    """

    kind: Final = Kind.PKCS11

    def __init__(self, place: TokenPlace) -> None:
        """Raises DeviceLibraryAbsent. The token itself is looked for later."""
        self._place = place
        try:
            self._api: Any = importlib.import_module("pkcs11")  # an extra: Any, because it may be absent
            self._errors: Any = importlib.import_module("pkcs11.exceptions")
        except ImportError as error:
            raise DeviceLibraryAbsent("python-pkcs11 is not installed") from error
        self._session: Any = None
        self._keys: dict[tuple[str, str], Any] = {}
        self._pin: SecretBytes | None = None
        self._token: Any = None
        self._where: _Where = ("", 0, b"")

    def __repr__(self) -> str:
        return f"Pkcs11Token({self._place.token or self._place.serial or self._place.slot_id})"

    def describe(self) -> Description:
        def read() -> Description:
            self._open()
            token = self._token
            maker, model, label = (str(text).strip() for text in (token.manufacturer_id, token.model, token.label))
            serial = token.serial.decode(errors="replace").strip("\x00 ")
            warning = "SoftHSM is a program: its keys lie on this machine's disk" if "SoftHSM" in maker else ""
            return Description(Kind.PKCS11, f"{maker} {model}, token {label}, serial {serial}", "a PIN", warning)

        return self._run(read)

    @property
    def algorithms(self) -> frozenset[str]:
        def read() -> frozenset[str]:
            self._open()
            offered = {int(mechanism) for mechanism in self._token.slot.get_mechanisms()}
            mechanisms = self._api.Mechanism
            return frozenset(
                name
                for name, (_, making, using, _) in _ALGORITHMS.items()
                if {int(mechanisms[making]), int(mechanisms[using])} <= offered
            )

        return self._run(read)

    def generate(self, label: str, algorithm: str, /) -> bytes:
        if algorithm not in self.algorithms:
            raise DeviceLacksAlgorithm(algorithm=algorithm, device=repr(self))
        kind, making, _, curve = _ALGORITHMS[algorithm]

        def make() -> bytes:
            attribute, api = self._api.Attribute, self._api
            session = self._open()
            if self._find(label, "PRIVATE_KEY"):
                raise DeviceKeyExists(label=label)
            parameters = session.create_domain_parameters(
                api.KeyType[kind], {attribute.EC_PARAMS: bytes.fromhex(curve)}, local=True
            )
            agrees = algorithm in GROUPS
            flags = api.MechanismFlag
            _, private = parameters.generate_keypair(
                mechanism=api.Mechanism[making],
                store=True,
                label=label,
                id=label.encode(),
                capabilities=flags.DERIVE if agrees else flags.SIGN | flags.VERIFY,
                # Said in full: a token fills what is left out with defaults of its own, SoftHSM2 with every use.
                private_template={
                    **{attribute[name]: True for name in ("TOKEN", "PRIVATE", "SENSITIVE")},
                    **{attribute[name]: False for name in _FORBIDDEN},
                    attribute.SIGN: not agrees,
                    attribute.DERIVE: agrees,
                },
            )
            try:
                self._require_safe(private, label, algorithm)
            except DeviceKeyUnsafe:
                self.erase(label)
                raise
            return self._point(label, algorithm)

        return self._run(make, again=False)  # a second try could leave two keys of one label

    def public_key(self, label: str, algorithm: str, /) -> bytes:
        def look() -> bytes:
            self._require_safe(self._private(label, algorithm), label, algorithm)
            return self._point(label, algorithm)

        return self._run(look)

    def sign(self, label: str, algorithm: str, message: bytes, /) -> bytes:
        # Tokens differ in whether they hash for ECDSA; all take a digest.
        data = sha256(message).digest() if algorithm == "ES256" else message
        mechanism = self._api.Mechanism[_ALGORITHMS[algorithm][2]]
        return self._run(lambda: bytes(self._private(label, algorithm).sign(data, mechanism=mechanism)))

    def agree(self, label: str, algorithm: str, peer: bytes, /) -> bytes:
        api = self._api
        # The derived secret is a session object that may be read: it is what the caller asked for.
        template = {api.Attribute.SENSITIVE: False, api.Attribute.EXTRACTABLE: True, api.Attribute.TOKEN: False}

        def derive() -> bytes:
            secret = self._private(label, algorithm).derive_key(
                api.KeyType.GENERIC_SECRET,
                8 * GROUPS[algorithm].shared_bytes,
                mechanism_param=(api.KDF.NULL, None, peer),
                mechanism=api.Mechanism.ECDH1_DERIVE,
                template=template,
            )
            try:
                return bytes(secret[api.Attribute.VALUE])
            finally:
                secret.destroy()

        return self._run(derive)

    def erase(self, label: str, /) -> None:
        def destroy() -> None:
            self._keys = {place: key for place, key in self._keys.items() if place[0] != label}
            for kind in ("PRIVATE_KEY", "PUBLIC_KEY"):
                for found in self._find(label, kind):
                    found.destroy()

        self._run(destroy)

    def labels(self) -> tuple[str, ...]:
        def search() -> tuple[str, ...]:
            found = self._open().get_objects({self._api.Attribute.CLASS: self._api.ObjectClass.PRIVATE_KEY})
            return tuple(sorted(str(key.label) for key, _ in zip(found, range(MAX_KEYS), strict=False)))

        return self._run(search)

    def close(self) -> None:
        with _TURN:
            self._leave(lost=False)

    def __del__(self) -> None:
        if getattr(self, "_session", None) is not None:
            self.close()

    def _leave(self, *, lost: bool) -> None:
        """Let the session go. It ends with its last holder, and when it is lost for all of them."""
        session, self._session = self._session, None
        self._keys.clear()
        if session is None:
            return
        login = _LOGINS.get(self._where)
        if login is not None and login.session is session:
            login.holders -= 1
            if login.holders and not lost:
                return
            del _LOGINS[self._where]
        with suppress(self._errors.PKCS11Error):  # the token is away; its session ended with it
            session.close()

    def _run(self, work: Callable[[], T], *, again: bool = True) -> T:
        """Do it; where the session turns out to be lost, log in again and do it once more."""
        for last in (not again, True):
            try:
                with _TURN:
                    return work()
            except LockgateError:
                raise
            except self._errors.PKCS11Error as error:
                if not self._is_gone(error):
                    raise DeviceFailed(device=repr(self), answer=type(error).__name__, text=str(error)) from error
                with _TURN:
                    self._leave(lost=True)
                if last:
                    raise DeviceAbsent(device=repr(self), answer=type(error).__name__) from error
        raise AssertionError("unreachable")

    def _is_gone(self, error: Exception) -> bool:
        return type(error).__name__ in _GONE or _NOT_INITIALIZED in str(error)

    def _open(self) -> Any:
        if self._session is None:
            self._token = token = self._look_up()
            self._where = (self._place.module, token.slot.slot_id, token.serial)
            login = _LOGINS.get(self._where)
            if login is None:
                _LOGINS[self._where] = login = _Login(self._log_in(token))
            else:
                login.holders += 1
            self._session = login.session
        return self._session

    def _log_in(self, token: Any) -> Any:
        pin = self._pin or read_pin(self._place.pin_file, f"token {str(token.label).strip()}")
        if any(equal(pin.reveal(), refused.reveal()) for refused in _REFUSED.get(self._where, ())):
            self._pin = None
            raise WrongPin("the same PIN was refused before and is not tried again", device=repr(self))
        with self._pin_refused(pin):
            session = token.open(rw=True, user_pin=pin.reveal().decode())
        self._pin = pin
        return session

    @contextmanager
    def _pin_refused(self, pin: SecretBytes) -> Iterator[None]:
        errors = self._errors
        try:
            yield
        except (errors.PinIncorrect, errors.PinInvalid, errors.PinLenRange, errors.PinExpired) as error:
            self._pin = None
            _REFUSED.setdefault(self._where, []).append(pin)
            raise WrongPin(device=repr(self), answer=type(error).__name__) from error
        except errors.PinLocked as error:
            raise PinLocked(device=repr(self)) from error

    def _look_up(self) -> Any:
        try:
            library = self._api.lib(self._place.module)
        except self._errors.PKCS11Error as error:
            if type(error) is not self._errors.PKCS11Error:  # the module's own answer; else it did not load
                raise
            raise DeviceLibraryAbsent("the module does not load", module=self._place.module) from error
        slots = library.get_slots(token_present=True)
        found = [slot.get_token() for slot in slots if self._matches(slot)]
        if not found:
            raise DeviceAbsent("no such token is present", device=repr(self))
        if len(found) > 1:
            raise DeviceAmbiguous(device=repr(self), tokens=len(found))
        return found[0]

    def _matches(self, slot: Any) -> bool:
        place, token = self._place, slot.get_token()
        said = {
            "token": str(token.label).strip(),
            "serial": token.serial.decode(errors="replace").strip("\x00 "),
            "manufacturer": str(token.manufacturer_id).strip(),
            "model": str(token.model).strip(),
            "slot_id": slot.slot_id,
        }
        return all(getattr(place, name) in (None, value) for name, value in said.items())

    def _find(self, label: str, kind: str) -> list[Any]:
        attribute = self._api.Attribute
        wanted = {attribute.LABEL: label, attribute.CLASS: self._api.ObjectClass[kind]}
        return list(self._open().get_objects(wanted))

    def _private(self, label: str, algorithm: str) -> Any:
        self._open()
        if (label, algorithm) not in self._keys:
            found = self._find(label, "PRIVATE_KEY")
            if len(found) != 1:
                raise DeviceKeyMissing(label=label, found=len(found), device=repr(self))
            self._keys[label, algorithm] = found[0]
        return self._keys[label, algorithm]

    def _point(self, label: str, algorithm: str) -> bytes:
        found = self._find(label, "PUBLIC_KEY")
        if len(found) != 1:
            raise DeviceKeyMissing("the public key is missing", label=label, device=repr(self))
        point = bytes(found[0][self._api.Attribute.EC_POINT])  # DER octet string around it, or not: tokens differ
        size = _PUBLIC_BYTES[algorithm]
        if point not in (point[-size:], bytes((0x04, size)) + point[-size:]):
            raise DeviceKeyUnsafe("the public key has another form", label=label, size=len(point))
        return point[-size:]

    def _require_safe(self, key: Any, label: str, algorithm: str) -> None:
        uses, other = ("DERIVE", "SIGN") if algorithm in GROUPS else ("SIGN", "DERIVE")
        wrong = [name for name in (*_REQUIRED, uses) if self._flag(key, name) is not True]
        wrong += [name for name in (*_FORBIDDEN, other) if self._flag(key, name) is not False]
        if wrong:
            raise DeviceKeyUnsafe(label=label, attributes=" ".join(f"CKA_{name}" for name in wrong))

    def _flag(self, key: Any, name: str) -> bool | None:
        try:
            return bool(key[self._api.Attribute[name]])
        except self._errors.AttributeTypeInvalid:
            return False if name in ("SIGN_RECOVER", "UNWRAP", "DECRYPT") else None  # a token without the operation


__all__ = ("Pkcs11Token",)
