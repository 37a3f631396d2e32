"""A ledger some of whose validators sign elsewhere: its blocks hold an absent vote for each of them."""

from __future__ import annotations

from lockgate.engines.embedded.chain import EmbeddedChain
from lockgate.engines.embedded.roster import LocalValidator
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.ledgers import LabLedger, MemorySigningState
from lockgate.lightclients.cometbft import encoding, hashing
from lockgate.lightclients.cometbft.commit import check_commit_light
from lockgate.lightclients.cometbft.types import ABSENT_SIG, Commit
from lockgate.machine import keys as stores
from lockgate.merkle.multistore import MultiStore
from lockgate.storage.blocks import MemoryBlocks
from lockgate.storage.memory import MemoryNodes
from tests.support.lab import START


def test_blocks_of_three_out_of_four_validators_are_the_plain_ones() -> None:
    clock = SimulatedClock(START)
    whole = LabLedger("alpha-1", clock, validators=4)
    states = [MemorySigningState() for _ in whole.keys]
    local = [LocalValidator(k.public_key, k.sign, s) for k, s in zip(whole.keys, states, strict=True)]
    away = whole.chain.validators.validators[1]
    here = [validator for validator in local if validator.public_key != away.public_key]
    store = MemoryBlocks()
    state = MultiStore(stores.STORES, MemoryNodes())
    chain = EmbeddedChain(whole.genesis, store, state, here, clock)
    last = Commit()
    for height in (1, 2, 3):
        made = chain.produce([])
        signed = made.signed
        votes = signed.commit.signatures
        assert [sig == ABSENT_SIG for sig in votes] == [False, True, False, False]
        assert {sig.timestamp for sig in votes if sig != ABSENT_SIG} == {signed.header.time}
        check_commit_light("alpha-1", chain.validators, signed.commit)
        assert (made.height, made.last_commit) == (height, last)
        assert signed.header.last_commit_hash == hashing.commit_hash(last)
        assert made.block_id == signed.commit.block_id == hashing.block_id(signed.header, (), last)
        stored = store.block(height)
        assert stored is not None
        assert stored.block == encoding.block(signed.header, (), last)
        assert stored.signed == made.encoded_header == encoding.signed_header(signed)
        last = signed.commit
    signing = {validator.public_key: validator.state.height for validator in local}  # type: ignore[attr-defined]
    assert signing == {key.public_key: 0 if key.public_key == away.public_key else 3 for key in whole.keys}
    again = EmbeddedChain(whole.genesis, store, state, here, clock)
    assert again.produce([]).last_commit == last
