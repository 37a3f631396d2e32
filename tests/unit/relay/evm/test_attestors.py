"""A quorum for an EVM contract: whose signatures count, and that nothing less is ever enough (C3, B5)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from lockgate.courier.evm_attesting import (
    EvmAttest,
    EvmAttested,
    EvmHandOver,
    NotOfTheSet,
    leaves_of,
    quorum,
    signed_by,
    statement_of,
)
from lockgate.crypto.recoverable import EvmKey
from lockgate.hosting.evm_attestor import StatementSigner, UnknownContract
from lockgate.lightclients.evm_attestation import Binding, Member, Signed, Statement
from lockgate.primitives.ids import Height
from lockgate.primitives.time import UnixNanos
from lockgate.relay.evm_attestors import EvmAttestors, TooFewEvmAttestors

KEYS = [EvmKey(bytes([number + 1]) * 32) for number in range(5)]
MEMBERS = tuple(
    Member(number + 1, key.address, weight)
    for number, (key, weight) in enumerate(zip(KEYS, (1, 1, 1, 2, 3), strict=True))
)
BINDING = Binding(chain_id=1, contract=b"\x0a" * 20, client_id="client-0", source=b"\x01" * 32)
PATHS = (b"one", b"two")
REQUEST = EvmAttest(BINDING, 1, Height(1, 9), PATHS)
TIME = UnixNanos(1_700_000_000 * 10**9 + 5)


def statement(root: bytes = b"\x11" * 32, epoch: int = 1) -> Statement:
    return statement_of(epoch, REQUEST.height, TIME, root, leaves_of(PATHS, (b"\x22" * 32, None)))


def signature(key: EvmKey, over: Statement, binding: Binding = BINDING) -> EvmAttested:
    return EvmAttested(*key.sign_digest(over.digest(binding)).compact)


@dataclass
class Says:
    """An attestor that answers this."""

    name: str
    answer: EvmAttested | Exception | None

    async def attest(self, _request: EvmAttest | EvmHandOver, /) -> EvmAttested:
        if self.answer is None:
            await asyncio.sleep(60)
        if isinstance(self.answer, Exception):
            raise self.answer
        assert self.answer is not None
        return self.answer


def asked(attestors: Sequence[Says], threshold: int = 4, operators: int = 3) -> tuple[Signed, ...]:
    told: list[str] = []

    async def work() -> tuple[Signed, ...]:
        collector = EvmAttestors(attestors, lambda name, _: told.append(name), ask_s=0.3)
        return await collector.sign(REQUEST, statement(), MEMBERS, threshold, operators)

    return asyncio.run(work())


def honest(*numbers: int) -> list[Says]:
    return [Says(f"operator {number}", signature(KEYS[number], statement())) for number in numbers]


def test_the_time_of_a_statement_is_floored() -> None:
    assert statement().time == 1_700_000_000


def test_a_quorum_stands_by_ascending_position() -> None:
    signed = asked(honest(4, 2, 0))
    assert [one.position for one in signed] == [0, 2, 4]


def test_a_quorum_has_the_weight_and_the_number() -> None:
    have = {number: Signed(number, b"", b"") for number in range(5)}
    assert quorum(MEMBERS, 5, 2, {number: have[number] for number in (3, 4)}) == (have[3], have[4])
    assert quorum(MEMBERS, 5, 3, {number: have[number] for number in (3, 4)}) is None
    assert quorum(MEMBERS, 6, 2, {number: have[number] for number in (3, 4)}) is None
    assert quorum(MEMBERS, 5, 2, have) == (have[3], have[4])


@pytest.mark.parametrize(
    "spoilt",
    [
        Says("silent", None),
        Says("refuses", UnknownContract()),
        Says("a stranger", signature(EvmKey(b"\x63" * 32), statement())),
        Says("another root", signature(KEYS[2], statement(b"\x12" * 32))),
        Says("another epoch", signature(KEYS[2], statement(epoch=2))),
        Says("another contract", signature(KEYS[2], statement(), replace(BINDING, chain_id=2))),
        Says("one twice", signature(KEYS[0], statement())),
        Says("nothing", EvmAttested(bytes(32), bytes(32))),
    ],
    ids=lambda one: one.name,
)  # fmt: skip
def test_below_a_quorum_nothing_is_handed_on(spoilt: Says) -> None:
    with pytest.raises(TooFewEvmAttestors):
        asked([*honest(0, 1), spoilt], 3, 3)
    assert len(asked([*honest(0, 1, 2), spoilt], 3, 3)) == 3, "one that lies holds up nobody"


def test_a_signature_of_nobody_in_the_set_is_named() -> None:
    with pytest.raises(NotOfTheSet):
        signed_by(MEMBERS[:2], statement().digest(BINDING), signature(KEYS[2], statement()))


@pytest.mark.parametrize(
    "request_",
    [
        EvmAttest(replace(BINDING, chain_id=2), 1, Height(1, 9), PATHS),
        EvmAttest(replace(BINDING, contract=b"\x0b" * 20), 1, Height(1, 9), PATHS),
        EvmAttest(replace(BINDING, client_id="client-1"), 1, Height(1, 9), PATHS),
        EvmAttest(replace(BINDING, source=b"\x02" * 32), 1, Height(1, 9), PATHS),
        EvmAttest(BINDING, 1, Height(1, 9), ()),
        EvmAttest(BINDING, 1, Height(1, 9), PATHS * 200),
    ],
    ids=["network", "contract", "client", "ledger", "no paths", "too many paths"],
)  # fmt: skip
def test_c1_an_attestor_signs_for_no_contract_that_was_not_accepted(request_: EvmAttest) -> None:
    unread: object = None  # nothing is read before the contract is known
    signer = StatementSigner(
        "one", unread, KEYS[0], unread, lambda: [(1, b"\x0a" * 20, "client-0")], b"\x01" * 32, lambda *_: None
    )  # type: ignore[arg-type]
    with pytest.raises(UnknownContract):
        asyncio.run(signer.attest(request_))
