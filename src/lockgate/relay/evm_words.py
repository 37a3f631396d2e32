"""What a call of a host contract or its client has a quorum say: the attestation, and the leaves it is shown for.

Anybody reads it in the chain's blocks. It counts for nothing here before its signatures are found to be a quorum's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

from lockgate.codec import abi
from lockgate.codec.errors import Malformed
from lockgate.courier.evm_attesting import EvmAttested, NotOfTheSet, quorum, signed_by
from lockgate.crypto.keccak import keccak256
from lockgate.ibc import commitment
from lockgate.ibc import host as paths
from lockgate.ibc.packet import Acknowledgement, Packet
from lockgate.lightclients.evm_attestation import (
    ABSENT,
    ATTESTATION,
    INCLUSION,
    MAX_LEAVES,
    Binding,
    Inclusion,
    Leaf,
    Signed,
    Statement,
)
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.time import UnixSeconds
from lockgate.relay.chains.evm.clients import AttestedContract
from lockgate.relay.chains.evm.interface import interface
from lockgate.relay.chains.evm.packets import batch_of, packet_of

SPEAKING: Final = ("recvPacket", "recvPackets", "ackPacket", "ackPackets", "timeoutPacket")  # of the host's calls
PROVEN: Final = ("WriteAcknowledgement", "AckPacket", "TimeoutPacket")  # events of a call that showed a proof
MAX_WITHIN: Final = 64  # calls of one kind that are looked for in another's
_PROOF: Final = abi.Tuple((ATTESTATION, INCLUSION))


@dataclass(frozen=True, slots=True)
class Shown:
    """A leaf as a call showed it, under which ICS-24 key, and how it alone leads to the root."""

    key: bytes
    leaf: Leaf
    inclusion: Inclusion


@dataclass(frozen=True, slots=True)
class Word:
    """A quorum's statement with its signatures."""

    statement: Statement
    signatures: tuple[Signed, ...]
    shown: tuple[Shown, ...] = ()


def word_in(data: bytes, to_host: bool) -> Word | None:
    """What a call's data has said, by a host's call or by a client's; none where it says nothing that can be read."""
    own = interface("host" if to_host else "attested")
    try:
        called = own.called(data)
        if called is None:
            return None
        name, values = called
        if not to_host:
            return Word(*_statement(values[0])) if name == "update" else None
        found = _proof_and_leaves(name, values)
        if found is None:
            return None
        proof, keyed = found
        attestation, inclusion = abi.decode(_PROOF, abi.WORD.to_bytes(abi.WORD) + proof)
        statement, signatures = _statement(attestation)
        size, positions, siblings = inclusion
        whole = Inclusion(size, positions, tuple(one.to_bytes(32) for one in siblings))
        shown = _shown(keyed, whole, statement.leaves_root)
    except (Malformed, LockgateError, ValueError, IndexError, OverflowError, TypeError):
        return None
    return Word(statement, signatures, shown)


def words_within(data: bytes) -> list[Word]:
    """What calls have said that stand in another contract's call, as forwarders and batches of calls have them.

    A call is bytes there, so its length stands before it, in a word of its own. What is packed in another way is not
    found: `relay.evm_reading` tells of it where the host's events show it.
    """
    found = []
    for to_host, selector in _speaking():
        at = -1
        for _ in range(MAX_WITHIN):
            at = data.find(selector, at + 1)
            if at < 0:
                break
            size = int.from_bytes(data[max(0, at - abi.WORD) : at])
            word = word_in(data[at : at + size], to_host) if at >= abi.WORD and size <= len(data) - at else None
            if word is not None:
                found.append(word)
    return found


@cache
def _speaking() -> tuple[tuple[bool, bytes], ...]:
    """Selectors of the calls that say anything: whether they are the host's, and their bytes."""
    host, client = interface("host"), interface("attested")
    return (*((True, host.selector(name)) for name in SPEAKING), (False, client.selector("update")))


def sound(word: Word, contract: AttestedContract, binding: Binding) -> Word | None:
    """The word with a quorum's signatures as the contract takes them; None where no quorum of this set signed it.

    Whoever made the call may have put them in another order, under other positions, or beside some of his own.
    """
    if word.statement.epoch != contract.epoch or len(word.signatures) > len(contract.members):
        return None
    digest, have, bad = word.statement.digest(binding), {}, 0
    for one in word.signatures:
        try:
            signed = signed_by(contract.members, digest, EvmAttested(one.r, one.vs))
        except NotOfTheSet:
            bad += 1
            if len(word.signatures) - bad < contract.operators:
                return None  # each look costs as much as a signature
        else:
            have[signed.position] = signed
    found = quorum(contract.members, contract.threshold, contract.operators, have)
    return None if found is None else replace(word, signatures=found)


def _shown(keyed: Sequence[tuple[bytes, Leaf]], whole: Inclusion, root: bytes) -> tuple[Shown, ...]:
    """The leaves of a call, each with its own way to the root; none where they do not lead there."""
    try:
        singles = single_inclusions([leaf for _, leaf in keyed], whole)
    except ValueError:
        return ()
    if any(root_over(leaf, one) != root for (_, leaf), one in zip(keyed, singles, strict=True)):
        return ()  # the call was refused, and the quorum said something of other leaves
    return tuple(Shown(key, leaf, one) for (key, leaf), one in zip(keyed, singles, strict=True))


def root_over(leaf: Leaf, inclusion: Inclusion) -> bytes:
    """The root that one leaf and its siblings lead to."""
    node, place, width = leaf.hash, inclusion.positions.bit_length() - 1, inclusion.size
    siblings = iter(inclusion.siblings)
    while width > 1:
        if place ^ 1 < width:
            other = next(siblings, b"")
            node = keccak256(other + node if place & 1 else node + other)
        place, width = place >> 1, (width + 1) >> 1
    return node


def single_inclusions(leaves: Sequence[Leaf], whole: Inclusion) -> list[Inclusion]:
    """How each leaf alone leads to the root that the inclusion of all of them leads to. Raises ValueError."""
    if not 0 < whole.size <= MAX_LEAVES or whole.positions >> whole.size or whole.positions.bit_count() != len(leaves):
        raise ValueError("an inclusion of other leaves")
    places = [at for at in range(whole.size) if whole.positions >> at & 1]
    siblings, levels = iter(whole.siblings), []
    known, width = {at: leaf.hash for at, leaf in zip(places, leaves, strict=True)}, whole.size
    while width > 1:
        for at in sorted(known):
            if at ^ 1 < width and at ^ 1 not in known:
                known[at ^ 1] = next(siblings, b"")
        levels.append((known, width))
        known = {
            at >> 1: keccak256(known[at] + known[at + 1]) if at + 1 < width else known[at]
            for at in sorted(known)
            if at % 2 == 0
        }
        width = (width + 1) >> 1
    found = []
    for place in places:
        path = [nodes[(place >> up) ^ 1] for up, (nodes, wide) in enumerate(levels) if (place >> up) ^ 1 < wide]
        found.append(Inclusion(whole.size, 1 << place, tuple(path)))
    return found


def _proof_and_leaves(name: str, values: Sequence[Any]) -> tuple[bytes, list[tuple[bytes, Leaf]]] | None:
    match name:
        case "recvPacket":
            packet, proof, _ = values[0]
            return proof, [_sent(packet_of(packet))]
        case "recvPackets":
            source, destination, items, proof, _ = values
            return proof, [_sent(one) for one in batch_of(source, destination, items)]
        case "ackPacket":
            packet, answer, proof, _ = values[0]
            return proof, [_answered(packet_of(packet), answer)]
        case "ackPackets":
            source, destination, items, answers, proof, _ = values
            answered = zip(batch_of(source, destination, items), answers, strict=True)
            return proof, [_answered(one, answer) for one, answer in answered]
        case "timeoutPacket":
            packet, proof, _ = values[0]
            return proof, [_absent(packet_of(packet))]
    return None


def proven_by(event: str, values: Sequence[Any]) -> tuple[bytes, Leaf]:
    """What the host had proven before it emitted an event of `PROVEN`, whose values these are."""
    packet = packet_of(values[0])
    match event:
        case "WriteAcknowledgement":
            return _sent(packet)
        case "AckPacket":
            return _answered(packet, values[1])
    return _absent(packet)


def _sent(packet: Packet) -> tuple[bytes, Leaf]:
    key = paths.packet_commitment(packet.source_client, packet.sequence)
    return key, Leaf(keccak256(key), commitment.commit_packet(packet))


def _absent(packet: Packet) -> tuple[bytes, Leaf]:
    key = paths.packet_receipt(packet.destination_client, packet.sequence)
    return key, Leaf(keccak256(key), ABSENT)


def _answered(packet: Packet, answer: bytes) -> tuple[bytes, Leaf]:
    key = paths.packet_acknowledgement(packet.destination_client, packet.sequence)
    return key, Leaf(keccak256(key), commitment.commit_acknowledgement(Acknowledgement((answer,))))


def _statement(fields: Sequence[Any]) -> tuple[Statement, tuple[Signed, ...]]:
    epoch, height, time, state_root, leaves_root, signed = fields
    statement = Statement(
        epoch=epoch,
        height=height,
        time=UnixSeconds(time),
        state_root=state_root.to_bytes(32),
        leaves_root=leaves_root.to_bytes(32),
    )
    return statement, tuple(Signed(at, r.to_bytes(32), vs.to_bytes(32)) for at, r, vs in signed)


__all__ = ("PROVEN", "Shown", "Word", "proven_by", "root_over", "single_inclusions", "sound", "word_in", "words_within")
