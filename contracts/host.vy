# pragma version 0.4.3
# pragma evm-version cancun
# pragma optimize gas
"""
@title  Packet host: IBC v2 packets between this chain and another ledger
@notice Commitments, paths, receipts, acknowledgements and their order are those of ICS-04 v2; the packet, its calls
        and its events have the ABI of solidity-ibc's ICS26 router. Anyone may relay. Nothing reaches an application
        except a packet that the lane's client has proven, and only through the port the application bound itself.
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
    lanes.announce,
    lanes.enact,
    lanes.getClient,
    lanes.getLane,
    lanes.pause,
)


# ---- packets


@external
def sendPacket(msg_: MsgSendPacket) -> uint64:
    """
    @notice Commit to a packet. Only the application that bound the source port may.
    @return The packet's sequence: 1, 2, … per client.
    """
    assert msg.sender == applications.app_of(msg_.payload.sourcePort), "port.sender"
    assert len(msg_.payload.value) != 0 and len(msg_.payload.destPort) >= 2, "packet.invalid"
    lane: bytes32 = keccak256(msg_.sourceClient)
    timeout: uint256 = convert(msg_.timeoutTimestamp, uint256)
    assert timeout > block.timestamp, "packet.expired"
    assert timeout <= block.timestamp + MAX_TIMEOUT, "packet.timeout_too_far"
    assert lanes.newest_time(lane) < msg_.timeoutTimestamp, "packet.expired"
    sequence: uint256 = lanes.count(lane, 1, 0)
    packet: ibc.Packet = ibc.Packet(
        sequence=convert(sequence, uint64),
        sourceClient=msg_.sourceClient,
        destClient=lanes.lanes[lane].counterparty,
        timeoutTimestamp=msg_.timeoutTimestamp,
        payloads=[msg_.payload],
    )
    self.commitments[self._slot(ibc.path_of(packet.sourceClient, 0x01, packet.sequence))] = ibc.commitment_of(packet)
    log SendPacket(clientId=packet.sourceClient, sequence=packet.sequence, packet=packet)
    return packet.sequence


@external
@nonreentrant
def recvPacket(msg_: MsgRecvPacket):
    """
    @notice Deliver a packet with the proof of its commitment. A second delivery changes nothing.
    """
    leaf: ibc.Leaf = ibc.sent(msg_.packet)
    lane: bytes32 = keccak256(msg_.packet.destClient)
    lanes.verify(lane, msg_.proofHeight.revisionHeight, [leaf], msg_.proofCommitment)
    lanes.check_counterparty(lane, msg_.packet.sourceClient)
    if self._receive(msg_.packet, leaf.value):
        lanes.count(lane, 0, 1)


@external
@nonreentrant
def recvPackets(packets: DynArray[ibc.Packet, ibc.MAX_BATCH], proof: Bytes[ibc.MAX_PROOF], height: Height):
    """
    @notice As `recvPacket`, for packets of one lane in the order of their leaves: one proof, one quorum.
    """
    assert len(packets) != 0, "packet.none"
    lane: bytes32 = keccak256(packets[0].destClient)
    source: bytes32 = lanes.check_counterparty(lane, packets[0].sourceClient)
    leaves: DynArray[ibc.Leaf, ibc.MAX_BATCH] = []
    for i: uint256 in range(len(packets), bound=ibc.MAX_BATCH):
        assert keccak256(packets[i].destClient) == lane, "packet.lanes_mixed"
        assert keccak256(packets[i].sourceClient) == source, "packet.counterparty"
        leaves.append(ibc.sent(packets[i]))
    lanes.verify(lane, height.revisionHeight, leaves, proof)
    taken: uint256 = 0
    for i: uint256 in range(len(packets), bound=ibc.MAX_BATCH):
        if self._receive(packets[i], leaves[i].value):
            taken = unsafe_add(taken, 1)
    lanes.count(lane, 0, taken)


@external
@nonreentrant
def ackPacket(msg_: MsgAckPacket):
    """
    @notice Bring back the answer to a packet that was sent, with its proof. A second one changes nothing.
    """
    leaf: ibc.Leaf = ibc.answered(msg_.packet, msg_.acknowledgement)
    lane: bytes32 = keccak256(msg_.packet.sourceClient)
    lanes.verify(lane, msg_.proofHeight.revisionHeight, [leaf], msg_.proofAcked)
    lanes.check_open(lane)
    lanes.check_counterparty(lane, msg_.packet.destClient)
    self._acknowledge(msg_.packet, msg_.acknowledgement)


@external
@nonreentrant
def ackPackets(
    packets: DynArray[ibc.Packet, ibc.MAX_BATCH],
    acknowledgements: DynArray[Bytes[ibc.MAX_ANSWER], ibc.MAX_BATCH],
    proof: Bytes[ibc.MAX_PROOF],
    height: Height,
):
    """
    @notice As `ackPacket`, for packets of one lane in the order of their leaves.
    """
    assert len(packets) != 0 and len(packets) == len(acknowledgements), "packet.none"
    lane: bytes32 = keccak256(packets[0].sourceClient)
    lanes.check_open(lane)
    dest: bytes32 = lanes.check_counterparty(lane, packets[0].destClient)
    leaves: DynArray[ibc.Leaf, ibc.MAX_BATCH] = []
    for i: uint256 in range(len(packets), bound=ibc.MAX_BATCH):
        assert keccak256(packets[i].sourceClient) == lane, "packet.lanes_mixed"
        assert keccak256(packets[i].destClient) == dest, "packet.counterparty"
        leaves.append(ibc.answered(packets[i], acknowledgements[i]))
    lanes.verify(lane, height.revisionHeight, leaves, proof)
    for i: uint256 in range(len(packets), bound=ibc.MAX_BATCH):
        self._acknowledge(packets[i], acknowledgements[i])


@external
@nonreentrant
def timeoutPacket(msg_: MsgTimeoutPacket):
    """
    @notice End a packet that was not received in time: proven absent at a height whose time is at or past its timeout.
    """
    packet: ibc.Packet = msg_.packet
    lane: bytes32 = keccak256(packet.sourceClient)
    leaf: ibc.Leaf = ibc.Leaf(path=ibc.path_of(packet.destClient, 0x02, packet.sequence), value=empty(bytes32))
    time: uint64 = lanes.verify(lane, msg_.proofHeight.revisionHeight, [leaf], msg_.proofTimeout)
    assert time >= packet.timeoutTimestamp, "packet.timeout_not_reached"
    lanes.check_open(lane)
    lanes.check_counterparty(lane, packet.destClient)
    if self._ended(packet):
        return
    log TimeoutPacket(clientId=packet.sourceClient, sequence=packet.sequence, packet=packet)
    assert applications.timed_out(packet), "app.reverted"


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
def _receive(packet: ibc.Packet, commitment: bytes32) -> bool:
    """
    @return Whether it is new. The caller counts what is against the lane, which refuses everything if it is stopped.
    """
    assert block.timestamp < convert(packet.timeoutTimestamp, uint256), "packet.expired"
    receipt: uint256 = self._slot(ibc.path_of(packet.destClient, 0x02, packet.sequence))
    if self.commitments[receipt] != empty(bytes32):
        log Noop()
        return False
    self.commitments[receipt] = commitment
    answer: Bytes[ibc.MAX_ANSWER] = applications.received(packet)
    stored: bytes32 = ibc.REFUSED_COMMITMENT
    if len(answer) == 0:
        answer = concat(ibc.REFUSED, b"")
    else:
        stored = ibc.acknowledgement_commitment_of(answer)
    self.commitments[self._slot(ibc.path_of(packet.destClient, 0x03, packet.sequence))] = stored
    log WriteAcknowledgement(
        clientId=packet.destClient, sequence=packet.sequence, packet=packet, acknowledgements=[answer]
    )
    return True


@internal
def _ended(packet: ibc.Packet) -> bool:
    """
    @notice Delete the commitment of a packet that ended here. True, and a Noop, if there is none any more.
    """
    slot: uint256 = self._slot(ibc.path_of(packet.sourceClient, 0x01, packet.sequence))
    stored: bytes32 = self.commitments[slot]
    if stored == empty(bytes32):
        log Noop()
        return True
    assert stored == ibc.commitment_of(packet), "packet.mismatch"
    self.commitments[slot] = empty(bytes32)
    return False


@internal
def _acknowledge(packet: ibc.Packet, answer: Bytes[ibc.MAX_ANSWER]):
    if self._ended(packet):
        return
    log AckPacket(clientId=packet.sourceClient, sequence=packet.sequence, packet=packet, acknowledgement=answer)
    assert applications.acknowledged(packet, answer), "app.reverted"
