"""Addresses of keystores: RFC 7512 as far as tokens go, and nothing secret in any of them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.keystore.errors import BadKeystore
from lockgate.keystore.place import DEFAULT_PCRS, DEFAULT_TCTI, FilePlace, TokenPlace, TpmPlace, parse

TAIL = "?module-path=/usr/lib/x.so&pin-source=file:/run/pin"


def test_a_file():
    assert parse("file") == FilePlace()
    assert str(parse("file")) == "file"


def test_a_token():
    text = "pkcs11:token=my%20token%3B;serial=53741b18;manufacturer=SoftHSM%20project;model=v2;slot-id=7" + TAIL
    place = parse(text)
    assert place == TokenPlace(
        text, "/usr/lib/x.so", "/run/pin", "my token;", "53741b18", "SoftHSM project", "v2", slot_id=7
    )
    assert str(place) == text


@pytest.mark.parametrize(
    ("source", "path"),
    [("file:/run/pin", "/run/pin"), ("file:///run/pin", "/run/pin"), ("/run/pin", "/run/pin"), ("/a%20b", "/a b")],
)
def test_a_pin_comes_from_a_file(source, path):
    assert parse(f"pkcs11:token=t?module-path=/m.so&pin-source={source}").pin_file == path


def test_without_a_file_a_person_is_asked():
    assert parse("pkcs11:token=t?module-path=/m.so").pin_file is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "files",
        "file:",
        "pkcs11:",
        "pkcs11:token=t",
        "pkcs11:token=t?module-path=lib.so",
        "pkcs11:manufacturer=m" + TAIL,
        "pkcs11:token=t;token=u" + TAIL,
        "pkcs11:token=t;object=o" + TAIL,
        "pkcs11:token=t;x-vendor=1" + TAIL,
        "pkcs11:token=t;" + TAIL,
        "pkcs11:token" + TAIL,
        "pkcs11:token=%zz" + TAIL,
        "pkcs11:token=%ff" + TAIL,
        "pkcs11:token=a b" + TAIL,
        "pkcs11:slot-id=-1" + TAIL,
        "pkcs11:slot-id=٣" + TAIL,
        "pkcs11:token=t" + TAIL + "&pin-value=1234",
        "pkcs11:token=t;pin-value=1234" + TAIL,
        "pkcs11:token=t?module-path=/m.so&pin-source=|cat",
        "pkcs11:token=t?module-path=/m.so&pin-source=pin",
        "pkcs11:token=t?module-path=/m.so&module-path=/n.so",
        "pkcs11:token=t\n?module-path=/m.so",
        "pkcs11:token=" + "t" * 2000 + TAIL,
        "tpm",
        "tpm:pcrs=",
        "tpm:pcrs=24",
        "tpm:pcrs=7,7",
        "tpm:pcrs=7;pcrs=8",
        "tpm:pcrs=sha1:7",
        "tpm:tcti=/tmp/evil.so",
        "tpm:tcti=evil:x",
        "tpm:owner=x",
        "hardware:",
        None,
        7,
    ],
)
def test_others_are_refused(text):
    with pytest.raises(BadKeystore):
        parse(text)


@pytest.mark.parametrize("scheme", ["tpm", "tpm-sealed"])
def test_a_tpm(scheme):
    sealed = scheme == "tpm-sealed"
    assert parse(f"{scheme}:") == TpmPlace(f"{scheme}:", sealed, DEFAULT_TCTI, DEFAULT_PCRS)
    text = f"{scheme}:tcti=swtpm:host=127.0.0.1,port=2321;pcrs=7,0"
    assert parse(text) == TpmPlace(text, sealed, "swtpm:host=127.0.0.1,port=2321", (0, 7))


def test_no_pin_is_in_a_refusal():
    with pytest.raises(BadKeystore, match="never stands in an address") as caught:
        parse("pkcs11:token=t" + TAIL + "&pin-value=86420")
    assert "86420" not in str(caught.value)


@given(st.text(max_size=80))
def test_any_text_is_parsed_or_refused(text):
    for prefix in ("", "pkcs11:", "pkcs11:token=t?module-path=/m&", "tpm:", "tpm-sealed:pcrs="):
        with contextlib.suppress(BadKeystore):
            assert str(parse(prefix + text)) == prefix + text
