"""Tokens against the library `cwt`: it reads those we issue, and we read those it writes."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from lockgate.codec import cbor
from lockgate.crypto.hybrid import Purpose, signing_bytes
from lockgate.crypto.keys import KeyRole, expand_seed
from lockgate.envelope.cose.algorithms import EDDSA
from lockgate.envelope.cose.labels import ALG, KID, SUITE
from lockgate.session.tokens import NotAuthenticated, read
from lockgate.session.tokens.errors import TokenSignature
from tests.arch.sources import REPO
from tests.support.token_world import DOMAIN, REVISION, TokenWorld

pytestmark = pytest.mark.interop
PYTHON = REPO / ".venv-tools" / "cwt" / "bin" / "python"
ORACLE = REPO / "tests" / "interop" / "cwt" / "oracle.py"


def ask(**question: Any) -> dict[str, Any]:
    if not PYTHON.exists():
        pytest.skip("the library cwt is not installed: `make interop` installs it")
    asked = {name: each.hex() if isinstance(each, bytes) else each for name, each in question.items()}
    done = subprocess.run(
        [PYTHON, "-I", ORACLE], input=json.dumps(asked), capture_output=True, text=True, timeout=60, check=True
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def external(world: TokenWorld, purpose: Purpose = Purpose.TOKEN) -> bytes:
    return signing_bytes(purpose, 1, world.operator.key.hash, DOMAIN, REVISION, b"")


def test_the_library_reads_our_token() -> None:
    world = TokenWorld(1)
    world.say(lane=b"L" * 32)
    key, kid = world.operator.key.parts[0], bytes(world.operator.key.hash)
    answer = ask(read=world.token(), key=key, kid=kid, external=external(world))
    claims = world.claims
    assert (answer["iss"], answer["exp"]) == (claims.issuer, claims.expires)
    assert answer["claims"]["7"] == claims.token_id.hex()
    assert answer["claims"]["9"] == "inbox send status"
    assert answer["claims"]["-70101"] == (b"L" * 32).hex()
    assert answer["claims"]["8"]["1"]["-2"] == world.holder.key.parts[0].hex()


def test_we_read_the_librarys_token_and_no_other_of_its_making() -> None:
    world = TokenWorld(1)
    world.say(session=b"S" * 32)
    kid, seed = bytes(world.operator.key.hash), expand_seed(bytes([1]) * 32, KeyRole.OPERATOR, "Ed25519")
    protected = cbor.encode({ALG: EDDSA, KID: kid, SUITE: 1})
    question = {"write": world.claims.encode(), "seed": seed, "key": world.operator.key.parts[0], "kid": kid}
    token = bytes.fromhex(ask(**question, protected=protected, external=external(world))["token"])
    assert token == world.token()
    assert read(token, world.issuers, DOMAIN, REVISION).claims == world.claims
    for other in (b"", external(world, Purpose.CALL)):  # without P6, or for another purpose
        token = bytes.fromhex(ask(**question, protected=protected, external=other)["token"])
        with pytest.raises(TokenSignature):
            read(token, world.issuers, DOMAIN, REVISION)
        call = world.call()
        with pytest.raises(NotAuthenticated):
            world.let_in(world.shown(call, token), call)
