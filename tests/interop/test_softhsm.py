"""What a PKCS#11 token may do to a keystore, on SoftHSM2: leak, refuse, vanish, come back. See also `tests/ports`."""

from __future__ import annotations

import importlib
import shutil
import threading
import time

import pytest

from lockgate.keystore import pkcs11
from lockgate.keystore.device import DeviceSigner
from lockgate.keystore.errors import (
    DeviceAbsent,
    DeviceAmbiguous,
    DeviceFailed,
    DeviceKeyUnsafe,
    DeviceLibraryAbsent,
    PinLocked,
    PinUnreadable,
    WrongPin,
)
from lockgate.keystore.pkcs11 import Pkcs11Token
from lockgate.keystore.place import parse
from lockgate.keystore.ports import SIGNATURES
from tests.support.tokens import PIN, module, softhsm, softhsm_reason

pytestmark = pytest.mark.interop
REASON = softhsm_reason()


@pytest.fixture
def tokens(tmp_path):
    if REASON:
        pytest.skip(REASON)
    with softhsm(tmp_path / "hsm", "one", "two") as made:
        yield made


@pytest.fixture
def token(tokens):
    return tokens["one"]


@pytest.fixture
def device(token):
    device = Pkcs11Token(parse(token.address))
    yield device
    device.close()


def signs(device, label, public):
    signature = DeviceSigner(device, label, "Ed25519", public).sign(b"m")
    return SIGNATURES["Ed25519"].verify(public, signature, b"m")


def library():
    return importlib.import_module("pkcs11")


def session_of(token):
    return library().lib(module()).get_token(token_label=token.label).open(rw=True, user_pin=PIN)


@pytest.mark.parametrize(
    ("spoiled", "named"),
    [
        ({"EXTRACTABLE": True}, "CKA_NEVER_EXTRACTABLE CKA_EXTRACTABLE"),
        ({"SENSITIVE": False}, "CKA_SENSITIVE CKA_ALWAYS_SENSITIVE"),
        ({"PRIVATE": False}, "CKA_PRIVATE"),
        ({"DERIVE": True}, "CKA_DERIVE"),
        ({"DECRYPT": True}, "CKA_DECRYPT"),
        ({"UNWRAP": True}, "CKA_UNWRAP"),
        ({"SIGN_RECOVER": True}, "CKA_SIGN_RECOVER"),
        ({"SIGN": False}, "CKA_SIGN"),
    ],
)
def test_P22_a_key_that_could_leave_or_do_more_is_refused(device, token, spoiled, named):
    """[P22]"""
    good = device.generate("good", "ES256")
    api, session = library(), device._session
    attribute = api.Attribute
    template = {attribute[name]: False for name in ("EXTRACTABLE", "DECRYPT", "UNWRAP", "SIGN_RECOVER", "DERIVE")}
    template |= {attribute[name]: True for name in ("PRIVATE", "SENSITIVE", "SIGN")}
    parameters = session.create_domain_parameters(
        api.KeyType.EC, {attribute.EC_PARAMS: bytes.fromhex("06082a8648ce3d030107")}, local=True
    )
    parameters.generate_keypair(
        mechanism=api.Mechanism.EC_KEY_PAIR_GEN,
        store=True,
        label="bad",
        private_template={**template, **{attribute[name]: value for name, value in spoiled.items()}},
    )
    with pytest.raises(DeviceKeyUnsafe) as refusal:
        device.public_key("bad", "ES256")
    assert refusal.value.fields["attributes"] == named
    assert device.public_key("good", "ES256") == good


def test_P22_a_key_that_was_hidden_afterwards_is_refused(device, token):
    """[P22] Sensitive now is not sensitive always: somebody may have read it before."""
    api = library()
    attribute = api.Attribute
    device.describe()
    parameters = device._session.create_domain_parameters(
        api.KeyType.EC, {attribute.EC_PARAMS: bytes.fromhex("06082a8648ce3d030107")}, local=True
    )
    template = {attribute[name]: False for name in ("EXTRACTABLE", "DECRYPT", "UNWRAP", "SIGN_RECOVER", "DERIVE")}
    _, private = parameters.generate_keypair(
        mechanism=api.Mechanism.EC_KEY_PAIR_GEN,
        store=True,
        label="late",
        private_template={**template, attribute.SENSITIVE: False, attribute.SIGN: True},
    )
    private[attribute.SENSITIVE] = True
    with pytest.raises(DeviceKeyUnsafe, match="CKA_ALWAYS_SENSITIVE"):
        device.public_key("late", "ES256")


def test_P22_a_key_that_was_brought_in_is_refused(device, token):
    """[P22] Whoever brought it may have kept it."""
    api = library()
    attribute = api.Attribute
    device.describe()
    template = {attribute[name]: False for name in ("EXTRACTABLE", "DECRYPT", "UNWRAP", "SIGN_RECOVER", "DERIVE")}
    template |= {attribute[name]: True for name in ("TOKEN", "PRIVATE", "SENSITIVE", "SIGN")}
    template |= {
        attribute.CLASS: api.ObjectClass.PRIVATE_KEY,
        attribute.KEY_TYPE: api.KeyType.EC,
        attribute.LABEL: "brought",
        attribute.EC_PARAMS: bytes.fromhex("06082a8648ce3d030107"),
        attribute.VALUE: bytes(31) + b"\x07",
    }
    device._session.create_object(template)
    with pytest.raises(DeviceKeyUnsafe) as refusal:
        device.public_key("brought", "ES256")
    assert refusal.value.fields["attributes"] == "CKA_ALWAYS_SENSITIVE CKA_NEVER_EXTRACTABLE CKA_LOCAL"


def test_a_wrong_pin_is_tried_once(device, token):
    tries = []
    token.pin_file.write_text("000000\n")
    device._api = Counting(device._api, tries)
    for _ in range(3):
        with pytest.raises(WrongPin):
            device.describe()
    assert tries == ["000000"]
    token.pin_file.write_text(PIN)
    assert device.describe().name


def test_a_wrong_pin_is_tried_once_whoever_asks(token):
    """Each rotation that is due opens its keystore anew, every minute: one stale PIN must not lock the token."""
    tries = []

    def opened():
        device = Pkcs11Token(parse(token.address))
        device._api = Counting(device._api, tries)
        return device

    for pin in ("000000", "111111", "000000", "111111"):
        token.pin_file.write_text(pin)
        with pytest.raises(WrongPin):
            opened().describe()
    assert tries == ["000000", "111111"]
    token.pin_file.write_text(PIN)
    device = opened()
    assert device.describe().name
    device.close()


def test_threads_that_log_in_at_once_share_a_session(token):
    device = Pkcs11Token(parse(token.address))
    public = device.generate("k", "Ed25519")
    device.close()
    tries, found = [], []
    start = threading.Barrier(6)

    def use():
        one = Pkcs11Token(parse(token.address))
        one._api = Counting(one._api, tries, slowly=0.05)
        start.wait(10)
        found.append(all(signs(one, "k", public) for _ in range(20)))
        start.wait(10)
        one.close()

    threads = [threading.Thread(target=use) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [True] * 6
    assert len(tries) == 1


def test_a_signer_that_outlives_its_keystore_leaves_no_session(token):
    keystore = Pkcs11Token(parse(token.address))
    public = keystore.generate("k", "Ed25519")
    signer = DeviceSigner(keystore, "k", "Ed25519", public)
    keystore.close()
    assert not logins()
    assert signer.sign(b"m")
    assert [login.holders for login in logins()] == [1]
    del keystore, signer
    assert not logins()


def logins():
    return list(pkcs11._LOGINS.values())


def test_no_pin_no_question_to_the_token(device, token):
    token.pin_file.chmod(0o640)
    with pytest.raises(PinUnreadable):
        device.describe()
    token.pin_file.chmod(0o600)
    assert device.describe().bound_to == "a PIN"


def test_a_session_that_was_closed_is_opened_again(device, token):
    public = device.generate("k", "Ed25519")
    assert signs(device, "k", public)
    device._session.close()  # as another part of the process may do, or a driver that was restarted
    assert signs(device, "k", public)
    library().lib(module()).finalize()
    assert signs(device, "k", public)


def test_a_token_that_is_pulled_is_absent_and_works_when_it_is_back(device, token, tmp_path):
    public = device.generate("k", "Ed25519")
    assert signs(device, "k", public)
    place = token.folder / "tokens"
    shutil.move(place, tmp_path / "pulled")
    place.mkdir()
    library().lib(module()).finalize()
    for _ in range(2):
        with pytest.raises(DeviceAbsent):
            signs(device, "k", public)
    library().lib(module()).finalize()
    place.rmdir()
    shutil.move(tmp_path / "pulled", place)
    assert signs(device, "k", public)


def test_two_keystores_of_a_process_share_a_token(token):
    one, two = (Pkcs11Token(parse(token.address)) for _ in range(2))
    first, second = one.generate("first", "Ed25519"), two.generate("second", "Ed25519")
    assert signs(one, "second", second)
    one.close()
    assert signs(two, "first", first)
    assert signs(one, "first", first)
    one.close()
    two.close()


def test_a_token_is_found_by_serial_slot_and_maker(tokens):
    serials = {}
    for label, token in tokens.items():
        session = session_of(token)
        found = library().lib(module()).get_token(token_label=label)
        serials[label] = (found.serial.decode(), found.slot.slot_id)
        session.close()
    pin = tokens["one"].pin_file
    tail = f"?module-path={module()}&pin-source={pin}"
    for label, (serial, slot) in serials.items():
        for path in (f"serial={serial}", f"slot-id={slot}", f"token={label};manufacturer=SoftHSM%20project"):
            device = Pkcs11Token(parse(f"pkcs11:{path}{tail}"))
            assert f"token {label}," in device.describe().name
            device.close()
    with pytest.raises(DeviceAbsent):
        Pkcs11Token(parse(f"pkcs11:token=one;serial={serials['two'][0]}{tail}")).describe()


def test_two_tokens_of_one_label_are_ambiguous(tmp_path):
    if REASON:
        pytest.skip(REASON)
    with softhsm(tmp_path / "hsm", "same", "same") as made, pytest.raises(DeviceAmbiguous):
        Pkcs11Token(parse(made["same"].address)).describe()


def test_a_module_that_is_none_is_refused(tmp_path):
    if REASON:
        pytest.skip(REASON)
    path = tmp_path / "no.so"
    path.write_bytes(b"not a library")
    with pytest.raises(DeviceLibraryAbsent):
        Pkcs11Token(parse(f"pkcs11:token=one?module-path={path}&pin-source=file:/none")).describe()


def test_it_says_that_a_program_is_no_hardware(device):
    assert "disk" in device.describe().warning


def test_the_tokens_own_error_is_named(device, monkeypatch):
    device.generate("k", "Ed25519")
    monkeypatch.setattr(device, "_private", lambda *_: (_ for _ in ()).throw(device._errors.DeviceMemory("full")))
    with pytest.raises(DeviceFailed, match="DeviceMemory"):
        device.sign("k", "Ed25519", b"m")


def test_a_locked_pin_is_named(device, token):
    """SoftHSM2 never locks; the token's answer stands in for one that does."""
    locked = device._errors.PinLocked
    device._api = Counting(device._api, [], refuse=locked)
    with pytest.raises(PinLocked):
        device.describe()


class Counting:
    """The binding, with every PIN that reaches a token written down."""

    def __init__(self, api, tries, refuse=None, slowly=0.0):
        self._api = api
        self._tries = tries
        self._refuse = refuse
        self._slowly = slowly

    def __getattr__(self, name):
        return getattr(self._api, name)

    def lib(self, path):
        return _Wrapped(self._api.lib(path), self._tries, self._refuse, self._slowly)


class _Wrapped:
    def __init__(self, inner, tries, refuse, slowly):
        self._inner, self._tries, self._refuse, self._slowly = inner, tries, refuse, slowly

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def get_slots(self, **given):
        return [_Wrapped(slot, self._tries, self._refuse, self._slowly) for slot in self._inner.get_slots(**given)]

    def get_token(self):
        return _Wrapped(self._inner.get_token(), self._tries, self._refuse, self._slowly)

    def open(self, **given):
        if "user_pin" in given:
            self._tries.append(given["user_pin"])
            time.sleep(self._slowly)
            if self._refuse:
                raise self._refuse
        return self._inner.open(**given)
