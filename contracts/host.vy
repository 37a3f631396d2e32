# pragma version 0.4.3
# pragma evm-version cancun
# pragma optimize gas
"""
@title  Packet host: IBC v2 packets between this chain and another ledger
@notice Commitments, paths, receipts, acknowledgements and their order are those of ICS-04 v2; the packet, its calls
        and its events have the ABI of solidity-ibc's ICS26 router. Anyone may relay. Nothing reaches an application
        except a packet that the lane's client has proven, and only through its own port. What cannot be done of a batch
        is left as it was and named (`Skipped`); the rest is done.
        State is written before any other contract is called. docs/spec/evm.md says what each refusal means.
"""

from modules import applications
from modules import ibc
from modules import lanes

MAX_TIMEOUT: constant(uint256) = 86_400  # seconds ahead: P13
# ERC-7201 slot of solidity-ibc's store: deployed Ethereum clients prove `keccak256(key ‖ slot)`
COMMITMENTS_SLOT: constant(bytes32) = 0x1260944489272988d9df285149b5aa1b0f48f2136d6f416159f840a3e0747600


struct Height:
    revisionNumber: uint64
    revisionHeight: uint64

struct MsgSendPacket:
    sourceClient: String[64]
    timeoutTimestamp: uint64
    payload: ibc.Payload

struct MsgRecvPacket:
    packet: ibc.Packet
    proofCommitment: Bytes[ibc.MAX_PROOF]
    proofHeight: Height

struct MsgAckPacket:
    packet: ibc.Packet
    acknowledgement: Bytes[ibc.MAX_ANSWER]
    proofAcked: Bytes[ibc.MAX_PROOF]
    proofHeight: Height

struct MsgTimeoutPacket:
    packet: ibc.Packet
    proofTimeout: Bytes[ibc.MAX_PROOF]
    proofHeight: Height

event SendPacket:
    clientId: indexed(String[64])
    sequence: indexed(uint64)
    packet: ibc.Packet

event WriteAcknowledgement:
    clientId: indexed(String[64])
    sequence: indexed(uint64)
    packet: ibc.Packet
    acknowledgements: DynArray[Bytes[ibc.MAX_ANSWER], 1]

event AckPacket:
    clientId: indexed(String[64])
    sequence: indexed(uint64)
    packet: ibc.Packet
    acknowledgement: Bytes[ibc.MAX_ANSWER]

event TimeoutPacket:
    clientId: indexed(String[64])
    sequence: indexed(uint64)
    packet: ibc.Packet

event Noop:
    pass

event Skipped:
    clientId: indexed(String[64])
    sequence: indexed(uint64)
    reason: String[32]  # what it would have reverted with, had it come alone


# Stands first, at slot 0, and spans nearly every slot, so that an index *is* a slot: `keccak256(path hash ‖ slot)`
# as Solidity lays out its mappings, which Vyper's own are the reverse of. What is declared below it takes the last
# slots; a hash meets one of them with probability 2**-192.
commitments: bytes32[2**256 - 2**64]

initializes: lanes
initializes: applications
exports: (
    applications.bindPort,
    applications.deliver,
    lanes.addClient,
    lanes.admit,
    lanes.announce,
    lanes.enact,
    lanes.getClient,
    lanes.getLane,
    lanes.getShare,
    lanes.pause,
)


# ---- packets


@external
def sendPacket(msg_: MsgSendPacket) -> uint64:
    """
    @notice Commit to a packet. Only the application that bound the source port may.
    @return The packet's sequence: 1, 2, … per client.
    """
    port: bytes32 = keccak256(msg_.payload.sourcePort)
    applications.check_sender(port)
    assert len(msg_.payload.value) != 0 and len(msg_.payload.destPort) >= 2, "packet.invalid"
    lane: bytes32 = keccak256(msg_.sourceClient)
    timeout: uint256 = convert(msg_.timeoutTimestamp, uint256)
    assert timeout > block.timestamp, "packet.expired"
    assert timeout <= block.timestamp + MAX_TIMEOUT, "packet.timeout_too_far"
    assert lanes.newest_time(lane) < msg_.timeoutTimestamp, "packet.expired"
    sequence: uint64 = convert(lanes.next_sequence(lane), uint64)
    assert lanes.count(lane, port, 1, 0), "lane.limit"
    item: ibc.Item = ibc.Item(sequence=sequence, timeoutTimestamp=msg_.timeoutTimestamp, payload=msg_.payload)
    dest: String[64] = lanes.lanes[lane].counterparty
    self.commitments[self._slot(ibc.path_of(msg_.sourceClient, 0x01, sequence))] = ibc.commitment_of(sha256(dest), item)
    log SendPacket(
        clientId=msg_.sourceClient, sequence=sequence, packet=ibc.Packet(
            sequence=item.sequence,
            sourceClient=msg_.sourceClient,
            destClient=dest,
            timeoutTimestamp=item.timeoutTimestamp,
            payloads=[item.payload],
        )
    )
    return sequence


@external
@nonreentrant
def recvPacket(msg_: MsgRecvPacket):
    """
    @notice Deliver a packet with the proof of its commitment. A second delivery changes nothing.
    """
    item: ibc.Item = ibc.item_of(msg_.packet)
    leaf: ibc.Leaf = ibc.sent(msg_.packet.sourceClient, sha256(msg_.packet.destClient), item)
    lane: bytes32 = self._facing(msg_.packet.destClient, msg_.packet.sourceClient)
    lanes.verify(lane, msg_.proofHeight.revisionHeight, [leaf], msg_.proofCommitment)
    refusal: String[32] = self._receive(lane, msg_.packet.sourceClient, msg_.packet.destClient, item, leaf.value)
    assert len(refusal) == 0, refusal


@external
@nonreentrant
def recvPackets(
    sourceClient: String[64],
    destClient: String[64],
    items: DynArray[ibc.Item, ibc.MAX_BATCH],
    proof: Bytes[ibc.MAX_PROOF],
    height: Height,
):
    """
    @notice As `recvPacket`, for packets of one lane in the order of their leaves: one proof, one quorum.
    """
    assert len(items) != 0, "packet.none"
    lane: bytes32 = self._facing(destClient, sourceClient)
    dest: bytes32 = sha256(destClient)
    leaves: DynArray[ibc.Leaf, ibc.MAX_BATCH] = []
    for i: uint256 in range(len(items), bound=ibc.MAX_BATCH):
        leaves.append(ibc.sent(sourceClient, dest, items[i]))
    lanes.verify(lane, height.revisionHeight, leaves, proof)
    left: uint256 = 0
    for i: uint256 in range(len(items), bound=ibc.MAX_BATCH):
        refusal: String[32] = self._receive(lane, sourceClient, destClient, items[i], leaves[i].value)
        if len(refusal) != 0:
            left = self._skipped(destClient, items[i].sequence, refusal, left, len(items))


@external
@nonreentrant
def ackPacket(msg_: MsgAckPacket):
    """
    @notice Bring back the answer to a packet that was sent, with its proof. A second one changes nothing.
    """
    item: ibc.Item = ibc.item_of(msg_.packet)
    leaf: ibc.Leaf = ibc.answered(msg_.packet.destClient, item.sequence, msg_.acknowledgement)
    lane: bytes32 = self._facing(msg_.packet.sourceClient, msg_.packet.destClient)
    lanes.verify(lane, msg_.proofHeight.revisionHeight, [leaf], msg_.proofAcked)
    refusal: String[32] = self._end(msg_.packet.sourceClient, msg_.packet.destClient, item, msg_.acknowledgement)
    assert len(refusal) == 0, refusal


@external
@nonreentrant
def ackPackets(
    sourceClient: String[64],
    destClient: String[64],
    items: DynArray[ibc.Item, ibc.MAX_BATCH],
    acknowledgements: DynArray[Bytes[ibc.MAX_ANSWER], ibc.MAX_BATCH],
    proof: Bytes[ibc.MAX_PROOF],
    height: Height,
):
    """
    @notice As `ackPacket`, for packets of one lane in the order of their leaves.
    """
    assert len(items) != 0 and len(items) == len(acknowledgements), "packet.none"
    lane: bytes32 = self._facing(sourceClient, destClient)
    leaves: DynArray[ibc.Leaf, ibc.MAX_BATCH] = []
    for i: uint256 in range(len(items), bound=ibc.MAX_BATCH):
        leaves.append(ibc.answered(destClient, items[i].sequence, acknowledgements[i]))
    lanes.verify(lane, height.revisionHeight, leaves, proof)
    left: uint256 = 0
    for i: uint256 in range(len(items), bound=ibc.MAX_BATCH):
        refusal: String[32] = self._end(sourceClient, destClient, items[i], acknowledgements[i])
        if len(refusal) != 0:
            left = self._skipped(sourceClient, items[i].sequence, refusal, left, len(items))


@external
@nonreentrant
def timeoutPacket(msg_: MsgTimeoutPacket):
    """
    @notice End a packet that was not received in time: proven absent at a height whose time is at or past its timeout.
    """
    item: ibc.Item = ibc.item_of(msg_.packet)
    lane: bytes32 = self._facing(msg_.packet.sourceClient, msg_.packet.destClient)
    leaf: ibc.Leaf = ibc.Leaf(path=ibc.path_of(msg_.packet.destClient, 0x02, item.sequence), value=empty(bytes32))
    time: uint64 = lanes.verify(lane, msg_.proofHeight.revisionHeight, [leaf], msg_.proofTimeout)
    assert time >= item.timeoutTimestamp, "packet.timeout_not_reached"
    refusal: String[32] = self._end(msg_.packet.sourceClient, msg_.packet.destClient, item, b"")
    assert len(refusal) == 0, refusal


# ---- what others read


@external
@view
def getCommitment(hashedPath: bytes32) -> bytes32:
    """
    @notice Value under keccak256 of an ICS-24 v2 path: commitment, receipt or acknowledgement; zero if there is none.
    """
    return self.commitments[self._slot(hashedPath)]


# ---- how


@internal
@pure
def _slot(path: bytes32) -> uint256:
    return convert(keccak256(concat(path, COMMITMENTS_SLOT)), uint256)


@internal
@view
def _facing(ours: String[64], theirs: String[64]) -> bytes32:
    """
    @return The lane of our client, which is not stopped, and whose other end is theirs.
    """
    lane: bytes32 = keccak256(ours)
    lanes.check_open(lane)
    lanes.check_counterparty(lane, theirs)
    return lane


@internal
def _skipped(client: String[64], sequence: uint64, refusal: String[32], left: uint256, size: uint256) -> uint256:
    """
    @notice Leave a packet of a batch as it was. A batch of which nothing is done is refused, so that it costs nothing.
    @return How many are left by now.
    """
    assert left + 1 != size, refusal
    log Skipped(clientId=client, sequence=sequence, reason=refusal)
    return left + 1


@internal
def _receive(
    lane: bytes32, source: String[64], dest: String[64], item: ibc.Item, commitment: bytes32
) -> String[32]:
    """
    @return Why it is not received, and nothing was written; empty if it is, now or before.
    """
    if block.timestamp >= convert(item.timeoutTimestamp, uint256):
        return "packet.expired"
    receipt: uint256 = self._slot(ibc.path_of(dest, 0x02, item.sequence))
    if self.commitments[receipt] != empty(bytes32):
        log Noop()
        return ""
    port: bytes32 = keccak256(item.payload.destPort)
    if not lanes.count(lane, port, 0, 1):
        return "lane.limit"
    self.commitments[receipt] = commitment
    answer: Bytes[ibc.MAX_ANSWER] = applications.received(source, dest, item, port)
    stored: bytes32 = ibc.REFUSED_COMMITMENT
    if len(answer) == 0:
        answer = concat(ibc.REFUSED, b"")
    else:
        stored = ibc.acknowledgement_commitment_of(answer)
    self.commitments[self._slot(ibc.path_of(dest, 0x03, item.sequence))] = stored
    log WriteAcknowledgement(
        clientId=dest,
        sequence=item.sequence,
        packet=ibc.Packet(
            sequence=item.sequence,
            sourceClient=source,
            destClient=dest,
            timeoutTimestamp=item.timeoutTimestamp,
            payloads=[item.payload],
        ),
        acknowledgements=[answer],
    )
    return ""


@internal
def _end(source: String[64], dest: String[64], item: ibc.Item, answer: Bytes[ibc.MAX_ANSWER]) -> String[32]:
    """
    @notice End a packet with its answer or, where that is empty, by timeout.
    @return Why it goes on, and nothing was written; empty if it ended, now or before.
    """
    slot: uint256 = self._slot(ibc.path_of(source, 0x01, item.sequence))
    stored: bytes32 = self.commitments[slot]
    if stored == empty(bytes32):
        log Noop()
        return ""
    if stored != ibc.commitment_of(sha256(dest), item):
        return "packet.mismatch"
    self.commitments[slot] = empty(bytes32)
    taken: bool = False
    if len(answer) == 0:
        taken = applications.timed_out(source, dest, item)
    else:
        taken = applications.acknowledged(source, dest, item, answer)
    if not taken:
        self.commitments[slot] = stored  # what the application did is undone, and so is this
        return "app.reverted"
    packet: ibc.Packet = ibc.Packet(
        sequence=item.sequence,
        sourceClient=source,
        destClient=dest,
        timeoutTimestamp=item.timeoutTimestamp,
        payloads=[item.payload],
    )
    if len(answer) == 0:
        log TimeoutPacket(clientId=source, sequence=item.sequence, packet=packet)
    else:
        log AckPacket(clientId=source, sequence=item.sequence, packet=packet, acknowledgement=answer)
    return ""
