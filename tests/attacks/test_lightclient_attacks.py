"""Attack replays A1, A8 and C6 of specs/incidents.md against the light client."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace

import pytest

from lockgate.codec.type_urls import TENDERMINT_HEADER
from lockgate.lightclients.cometbft.commit import Fraction
from lockgate.lightclients.cometbft.errors import (
    HeaderRefused,
    InsufficientOverlap,
    NotNextValidators,
    TrustLevelInvalid,
    UntrustedValidators,
    WrongChain,
)
from lockgate.lightclients.cometbft.soundness import SoundBlock
from lockgate.lightclients.cometbft.types import LightBlock, ValidatorSet
from lockgate.lightclients.cometbft.verification import Trusted
from lockgate.lightclients.follower import Accepted, Anchor, Equivocation, Follower
from lockgate.lightclients.tendermint import ClientState, ConsensusState, TendermintClient, encode_header
from lockgate.lightclients.tendermint.errors import (
    ClientFrozen,
    ConsensusStateMissing,
    InvalidConsensusState,
    InvalidHeight,
    RootUnset,
)
from lockgate.lightclients.tendermint.states import encode_client_state, encode_consensus_state
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import ChainId, ClientId, DomainId, Hash32, Height
from lockgate.primitives.time import UnixNanos
from tests.support.chain import (
    TestLedger,
    client_state_of,
    consensus_state_of,
    header_message,
    resigned,
    sign,
    validator_set,
)
from tests.support.memory_view import MemoryView
from tests.unit.lightclients.test_follower import OPTIONS
from tests.unit.lightclients.world import CLIENT, OWN, ClientWorld

# --- A1 (Nomad): what is unset is never valid


def created(state: ClientState, consensus: ConsensusState) -> None:
    view = MemoryView()
    TendermintClient().initialise(
        view, CLIENT, encode_client_state(state), encode_consensus_state(consensus), UnixNanos(1), OWN
    )


@pytest.mark.parametrize("root", [b"", bytes(32), b"sentinel_root", bytes(31)], ids=repr)
def test_a1_no_client_starts_from_an_unset_root(root: bytes) -> None:
    block = TestLedger().produce()
    created(client_state_of(block), consensus_state_of(block))
    with pytest.raises(InvalidConsensusState):
        created(client_state_of(block), replace(consensus_state_of(block), root=root))


@pytest.mark.parametrize("height", [Height(0, 0), Height(1, 0)], ids=str)
def test_a1_no_client_starts_at_height_zero(height: Height) -> None:
    block = TestLedger().produce()
    with pytest.raises(InvalidHeight):
        created(replace(client_state_of(block), latest_height=height), consensus_state_of(block))


@pytest.mark.parametrize("threshold", [(0, 0), (0, 3), (1, 4), (3, 0)])
def test_a1_no_threshold_is_zero_or_unset(threshold: tuple[int, int]) -> None:
    with pytest.raises(TrustLevelInvalid):
        Fraction(*threshold)


@pytest.mark.parametrize("app_hash", [bytes(32), b"\x01" * 31, b"\x01" * 33])
def test_a1_no_header_stores_an_unset_root(app_hash: bytes) -> None:
    """Even +2/3 of the validators cannot make a root that everything would be proven against."""
    world = ClientWorld()
    before = world.view.snapshot()
    with pytest.raises(RootUnset):
        world.update(resigned(world.ledger.block(10), app_hash=app_hash))
    assert world.view.snapshot() == before


def test_a1_after_an_upgrade_nothing_is_proven_until_the_next_header() -> None:
    """The placeholder root of an upgraded client proves neither presence nor absence."""
    world = ClientWorld()
    key = b"clients/07-tendermint-0/consensusStates/1-1"
    placeholder = replace(consensus_state_of(world.first), root=b"sentinel_root")
    world.view.stores["ibc"][key] = encode_consensus_state(placeholder)
    proof = world.store.prove("ibc", b"seed", world.store.version).merkle_proof
    with pytest.raises(RootUnset):
        world.client.verify_membership(world.view, CLIENT, Height(1, 1), proof, (b"ibc", b"seed"), b"\x01")
    absence = world.store.prove("ibc", b"none", world.store.version).merkle_proof
    with pytest.raises(RootUnset):
        world.client.verify_non_membership(world.view, CLIENT, Height(1, 1), absence, (b"ibc", b"none"))


def test_a1_an_empty_commit_or_powerless_set_has_no_threshold_to_pass() -> None:
    world = ClientWorld()
    block = world.ledger.block(10)
    powerless = tuple(replace(member, voting_power=0) for member in block.validators.validators)
    with pytest.raises(HeaderRefused):
        ValidatorSet(powerless, powerless[0])
    everyone = set(range(len(block.validators)))
    silent = replace(block, signed_header=sign(block.header, block.validators, absent=everyone))
    with pytest.raises(HeaderRefused):
        world.update(silent)


# --- A8 (Wormhole): the caller chooses no verifier, no key set, no "already verified"


def test_a8_validators_the_caller_brings_are_not_believed() -> None:
    """The attacker signs everything with keys of his own, and names them as the trusted ones."""
    world = ClientWorld()
    own = validator_set((10, 10, 10, 10), first=40)
    for height in (2, 10):
        header = replace(world.ledger.block(height).header, validators_hash=own.hash, next_validators_hash=own.hash)
        forged = LightBlock(sign(header, own), own, own)
        before = world.view.snapshot()
        with pytest.raises(UntrustedValidators):
            world.send(TENDERMINT_HEADER, encode_header(forged.signed_header, own, Height(1, 1), own))
        with pytest.raises((InsufficientOverlap, NotNextValidators)):
            world.update(forged)
        assert world.view.snapshot() == before


def test_a8_a_trusted_height_the_caller_invents_does_not_exist() -> None:
    world = ClientWorld()
    block = world.ledger.block(10)
    for height in (Height(1, 9), Height(0, 0), Height(0, 1)):
        message = encode_header(block.signed_header, block.validators, height, world.first.next_validators)
        with pytest.raises(ConsensusStateMissing):
            world.send(TENDERMINT_HEADER, message)


def test_a8_another_client_s_state_is_never_read() -> None:
    """A client the attacker created for his own chain lends nothing to the one under attack."""
    world = ClientWorld()
    evil = TestLedger("ledger-1", powers=(7, 7))
    evil.elect((7, 7), first=40)
    evil.run(10)
    spare = ClientId("07-tendermint-1")
    world.create(spare, evil.block(3))
    raw = header_message(evil.block(10), evil.block(3))
    assert world.send(TENDERMINT_HEADER, raw, spare).consensus_heights == (Height(1, 10),)
    with pytest.raises(ConsensusStateMissing):
        world.send(TENDERMINT_HEADER, raw, CLIENT)


def test_a8_the_same_keys_on_another_chain_prove_nothing_here() -> None:
    world = ClientWorld()
    twin = TestLedger("twin-1")
    twin.run(10)
    with pytest.raises(WrongChain):
        world.update(twin.block(10))


def test_a8_no_argument_skips_a_check() -> None:
    """Updates take bytes, a place to read and the time; verified values can only come from the checks."""
    names = list(inspect.signature(TendermintClient.update).parameters)
    assert names == ["self", "view", "client_id", "message", "now", "own_height"]
    kinds: tuple[Callable[..., object], ...] = (SoundBlock, Trusted)
    for sealed in kinds:
        with pytest.raises(TypeError):
            sealed()


def test_a8_memory_cannot_be_filled_with_a_lie() -> None:
    """What a module remembers is keyed by the bytes it was decoded from: a second answer is the first's."""
    world = ClientWorld()
    block = world.ledger.block(10)
    forged = replace(block, signed_header=sign(block.header, block.validators, absent={0, 1}))
    for _ in range(2):
        with pytest.raises(LockgateError):
            world.update(forged)
    assert world.update(block).consensus_heights == (Height(1, 10),)
    with pytest.raises(LockgateError):
        world.update(forged)


# --- C6 (re-org after release): equivocation freezes, and nothing passes afterwards


def test_c6_equivocation_in_two_updates_freezes_the_client() -> None:
    world = ClientWorld()
    block = world.ledger.block(10)
    world.update(block)
    assert world.update(resigned(block, app_hash=b"\x01" * 32)).misbehaviour
    assert world.status() == "Frozen"
    world.ledger.run(1)
    with pytest.raises(ClientFrozen):
        world.update(world.ledger.latest)


def test_c6_evidence_at_a_height_nobody_relayed_freezes_the_client() -> None:
    world = ClientWorld()
    block = world.ledger.block(7)
    assert world.accuse(block, resigned(block, data_hash=b"\x01" * 32)).misbehaviour
    assert world.status() == "Frozen"


def test_c6_a_rewritten_history_freezes_the_client_whichever_half_comes_first() -> None:
    """The ledger signs a second chain from height 6 on: the first header of it across is evidence."""
    for order in (1, -1):
        world = ClientWorld()
        rewritten = [resigned(world.ledger.block(height), app_hash=bytes([height]) * 32) for height in range(6, 11)]
        first, second = (world.ledger.block(10), rewritten[-1])[::order]
        world.update(first)
        assert world.update(second).misbehaviour
        assert world.status() == "Frozen"


def test_c6_a_host_that_follows_the_ledger_sees_it_too() -> None:
    ledger = TestLedger()
    ledger.run(10)
    now = UnixNanos(ledger.latest.header.time + 1)
    pinned = ledger.block(3)
    anchor = Anchor(
        domain=DomainId(Hash32(bytes(32))),
        chain_id=ChainId("ledger-1"),
        height=3,
        header_hash=Hash32(ledger.block(4).header.last_block_id.hash),
    )
    follower = Follower(anchor, OPTIONS)
    assert isinstance(follower.feed(pinned, now), Accepted)
    assert isinstance(follower.feed(ledger.block(10), now), Accepted)
    second = resigned(ledger.block(10), app_hash=b"\x01" * 32)
    assert follower.feed(second, now) == Equivocation(pinned, second, ledger.block(10))
    assert follower.root(10) == ledger.block(10).header.app_hash
