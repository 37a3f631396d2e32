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

MAX_BATCH: constant(uint256) = 50        # packets in one transaction; memory of the batch calls grows with it
MAX_BODY: constant(uint256) = 1024       # bytes of a payload's value
MAX_ANSWER: constant(uint256) = 512     # bytes of one acknowledgement
MAX_PROOF: constant(uint256) = 4096      # bytes: sixteen signatures and the siblings of a batch
MAX_TIMEOUT: constant(uint256) = 86_400  # seconds ahead: P13
MAX_APP_GAS: constant(uint256) = 5_000_000  # an application's receive must fit a block beside its packet
RESUME_DELAY: constant(uint256) = 3_600  # seconds from the announcement of looser rules to their effect: P16
MASK_32: constant(uint256) = 2**32 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_64: constant(uint256) = 2**64 - 1
# SHA-256 of "UNIVERSAL_ERROR_ACKNOWLEDGEMENT", and the commitment of the list that holds it alone (ICS-04 v2)
REFUSED: constant(bytes32) = 0x4774d4a575993f963b1c06573736617a457abef8589178db8d10c94b4ab511ab
REFUSED_COMMITMENT: constant(bytes32) = 0xe2fb30dfbf7abdeaca82d426534d2b3a9d5444dd2a87fa16d38b77ba1a13ced7
# ERC-7201 slot of solidity-ibc's store: deployed Ethereum clients prove `keccak256(key ‖ slot)`
COMMITMENTS_SLOT: constant(bytes32) = 0x1260944489272988d9df285149b5aa1b0f48f2136d6f416159f840a3e0747600


struct Payload:
    sourcePort: String[64]
    destPort: String[64]
    version: String[32]
    encoding: String[32]
    value: Bytes[MAX_BODY]

struct Packet:
    sequence: uint64
    sourceClient: String[64]
    destClient: String[64]
    timeoutTimestamp: uint64
    payloads: DynArray[Payload, 1]

struct Height:
    revisionNumber: uint64
    revisionHeight: uint64

struct MsgSendPacket:
    sourceClient: String[64]
    timeoutTimestamp: uint64
    payload: Payload

struct MsgRecvPacket:
    packet: Packet
    proofCommitment: Bytes[MAX_PROOF]
    proofHeight: Height

struct MsgAckPacket:
    packet: Packet
    acknowledgement: Bytes[MAX_ANSWER]
    proofAcked: Bytes[MAX_PROOF]
    proofHeight: Height

struct MsgTimeoutPacket:
    packet: Packet
    proofTimeout: Bytes[MAX_PROOF]
    proofHeight: Height

struct OnRecvPacketCallback:
    sourceClient: String[64]
    destinationClient: String[64]
    sequence: uint64
    payload: Payload
    relayer: address

struct OnAcknowledgementPacketCallback:
    sourceClient: String[64]
    destinationClient: String[64]
    sequence: uint64
    payload: Payload
    acknowledgement: Bytes[MAX_ANSWER]
    relayer: address

struct OnTimeoutPacketCallback:
    sourceClient: String[64]
    destinationClient: String[64]
    sequence: uint64
    payload: Payload
    relayer: address

# What is proven of the other ledger: a hashed ICS-24 v2 path and its value, zero for "nothing is stored there"
struct Leaf:
    path: bytes32
    value: bytes32

struct Lane:
    client: uint256      # address | packets out per window << 160 | packets in << 192 | window in seconds << 224
    counters: uint256    # next sequence | window start << 64 | out << 104 | in << 136 | paused << 168
    counterparty: String[64]
    guardian: address    # may stop the lane at once, and loosen its rules after RESUME_DELAY
    announced: uint256   # limits as in `client` | lawful from << 160 (seconds); zero when nothing is announced

interface Client:
    def bind(clientId: String[64]): nonpayable
    def status() -> (bool, uint64, uint64): view
    def verify(height: uint64, leaves: DynArray[Leaf, MAX_BATCH], proof: Bytes[MAX_PROOF]) -> uint64: nonpayable

interface App:
    def onAcknowledgementPacket(msg_: OnAcknowledgementPacketCallback): nonpayable
    def onTimeoutPacket(msg_: OnTimeoutPacketCallback): nonpayable

event SendPacket:
    clientId: indexed(String[64])
    sequence: indexed(uint64)
    packet: Packet

event WriteAcknowledgement:
    clientId: indexed(String[64])
    sequence: indexed(uint64)
    packet: Packet
    acknowledgements: DynArray[Bytes[MAX_ANSWER], 1]

event AckPacket:
    clientId: indexed(String[64])
    sequence: indexed(uint64)
    packet: Packet
    acknowledgement: Bytes[MAX_ANSWER]

event TimeoutPacket:
    clientId: indexed(String[64])
    sequence: indexed(uint64)
    packet: Packet

event Noop:
    pass

event ClientAdded:
    clientId: String[64]
    counterparty: String[64]
    client: address
    guardian: address

event PortBound:
    port: String[64]
    app: address
    gas_max: uint256

event LanePaused:
    clientId: String[64]

event RulesAnnounced:
    clientId: String[64]
    lawful_from: uint256

event RulesEnacted:
    clientId: String[64]


# Stands first, at slot 0, and spans nearly every slot, so that an index *is* a slot: `keccak256(path hash ‖ slot)`
# as Solidity lays out its mappings, which Vyper's own are the reverse of. What is declared below it takes the last
# slots; a hash meets one of them with probability 2**-192.
commitments: bytes32[2**256 - 2**64]
lanes: HashMap[bytes32, Lane]    # by keccak256 of the client id
ports: HashMap[bytes32, uint256]  # by keccak256 of the port: app | gas of its receive << 160
clients: uint32


# ---- lanes


@external
def addClient(counterparty: String[64], client: address, out_max: uint32, in_max: uint32, window_s: uint32) -> String[64]:
    """
    @notice Open a lane: a client of the other ledger under a new id. The sender is its guardian. None of it but the
            limits ever changes.
    """
    assert len(counterparty) >= 8, "lane.counterparty"  # ICS-24: 8..64 characters
    assert client.is_contract, "lane.client"
    assert window_s != 0 and out_max != 0 and in_max != 0, "lane.limits"
    id: String[64] = concat("client-", uint2str(self.clients))
    self.clients += 1
    lane: bytes32 = keccak256(id)
    self.lanes[lane].client = self._limited(client, out_max, in_max, window_s)
    self.lanes[lane].counterparty = counterparty
    self.lanes[lane].guardian = msg.sender
    self.lanes[lane].counters = 1
    extcall Client(client).bind(id)
    log ClientAdded(clientId=id, counterparty=counterparty, client=client, guardian=msg.sender)
    return id


@external
def pause(clientId: String[64]):
    """
    @notice Stop everything on a lane, at once. Packets under way are suspended, not lost: they go on when it does.
    """
    lane: bytes32 = keccak256(clientId)
    assert msg.sender == self.lanes[lane].guardian, "lane.guardian"
    self.lanes[lane].counters |= 1 << 168
    self.lanes[lane].announced = 0  # looser rules that were announced before the stop need announcing anew
    log LanePaused(clientId=clientId)


@external
def announce(clientId: String[64], out_max: uint32, in_max: uint32, window_s: uint32):
    """
    @notice Announce new limits and, if it is paused, the resumption of a lane; `enact` is lawful after RESUME_DELAY.
    """
    lane: bytes32 = keccak256(clientId)
    assert msg.sender == self.lanes[lane].guardian, "lane.guardian"
    assert window_s != 0 and out_max != 0 and in_max != 0, "lane.limits"
    lawful_from: uint256 = block.timestamp + RESUME_DELAY
    self.lanes[lane].announced = self._limited(empty(address), out_max, in_max, window_s) | lawful_from
    log RulesAnnounced(clientId=clientId, lawful_from=lawful_from)


@external
def enact(clientId: String[64]):
    """
    @notice Put announced rules into force. Anyone may.
    """
    lane: bytes32 = keccak256(clientId)
    announced: uint256 = self.lanes[lane].announced
    assert announced != 0, "lane.not_announced"
    assert block.timestamp >= announced & (2**160 - 1), "lane.too_early"
    self.lanes[lane].client = (self.lanes[lane].client & (2**160 - 1)) | ((announced >> 160) << 160)
    self.lanes[lane].counters &= ~(1 << 168)
    self.lanes[lane].announced = 0
    log RulesEnacted(clientId=clientId)


@external
def bindPort(port: String[64], gas_max: uint256):
    """
    @notice Become the application of a port; first come, first served. `gas_max` is what receiving needs at most: a
            relayer that brings less is refused, so that he cannot make an application fail.
    """
    assert len(port) >= 2 and gas_max != 0 and gas_max <= MAX_APP_GAS, "port.invalid"
    key: bytes32 = keccak256(port)
    assert self.ports[key] == 0, "port.taken"
    self.ports[key] = convert(msg.sender, uint256) | (gas_max << 160)
    log PortBound(port=port, app=msg.sender, gas_max=gas_max)


# ---- packets


@external
def sendPacket(msg_: MsgSendPacket) -> uint64:
    """
    @notice Commit to a packet. Only the application that bound the source port may.
    @return The packet's sequence: 1, 2, … per client.
    """
    assert msg.sender == self._app(msg_.payload.sourcePort), "port.sender"
    assert len(msg_.payload.value) != 0 and len(msg_.payload.destPort) >= 2, "packet.invalid"
    lane: bytes32 = keccak256(msg_.sourceClient)
    timeout: uint256 = convert(msg_.timeoutTimestamp, uint256)
    assert timeout > block.timestamp, "packet.expired"
    assert timeout <= block.timestamp + MAX_TIMEOUT, "packet.timeout_too_far"
    sequence: uint256 = self._count(lane, 1, 0)
    active: bool = False
    height: uint64 = 0
    time: uint64 = 0
    active, height, time = staticcall Client(self._client(lane)).status()
    assert active and height != 0, "client.not_active"
    assert time < msg_.timeoutTimestamp, "packet.expired"
    packet: Packet = Packet(
        sequence=convert(sequence, uint64),
        sourceClient=msg_.sourceClient,
        destClient=self.lanes[lane].counterparty,
        timeoutTimestamp=msg_.timeoutTimestamp,
        payloads=[msg_.payload],
    )
    self.commitments[self._slot(self._path(packet.sourceClient, 0x01, packet.sequence))] = self._commitment(packet)
    log SendPacket(clientId=packet.sourceClient, sequence=packet.sequence, packet=packet)
    return packet.sequence


@external
@nonreentrant
def recvPacket(msg_: MsgRecvPacket):
    """
    @notice Deliver a packet with the proof of its commitment. A second delivery changes nothing.
    """
    leaf: Leaf = self._sent(msg_.packet)
    lane: bytes32 = keccak256(msg_.packet.destClient)
    extcall Client(self._client(lane)).verify(msg_.proofHeight.revisionHeight, [leaf], msg_.proofCommitment)
    self._from_counterparty(lane, msg_.packet.sourceClient)
    if self._receive(msg_.packet, leaf.value):
        self._count(lane, 0, 1)


@external
@nonreentrant
def recvPackets(packets: DynArray[Packet, MAX_BATCH], proof: Bytes[MAX_PROOF], height: Height):
    """
    @notice As `recvPacket`, for packets of one lane in the order of their leaves: one proof, one quorum.
    """
    assert len(packets) != 0, "packet.none"
    lane: bytes32 = keccak256(packets[0].destClient)
    source: bytes32 = self._from_counterparty(lane, packets[0].sourceClient)
    leaves: DynArray[Leaf, MAX_BATCH] = []
    for packet: Packet in packets:
        assert keccak256(packet.destClient) == lane, "packet.lanes_mixed"
        assert keccak256(packet.sourceClient) == source, "packet.counterparty"
        leaves.append(self._sent(packet))
    extcall Client(self._client(lane)).verify(height.revisionHeight, leaves, proof)
    i: uint256 = 0
    taken: uint256 = 0
    for packet: Packet in packets:
        if self._receive(packet, leaves[i].value):
            taken += 1
        i += 1
    self._count(lane, 0, taken)


@external
@nonreentrant
def ackPacket(msg_: MsgAckPacket):
    """
    @notice Bring back the answer to a packet that was sent, with its proof. A second one changes nothing.
    """
    leaf: Leaf = self._answered(msg_.packet, msg_.acknowledgement)
    lane: bytes32 = keccak256(msg_.packet.sourceClient)
    extcall Client(self._client(lane)).verify(msg_.proofHeight.revisionHeight, [leaf], msg_.proofAcked)
    self._open(lane)
    self._from_counterparty(lane, msg_.packet.destClient)
    self._acknowledge(msg_.packet, msg_.acknowledgement)


@external
@nonreentrant
def ackPackets(
    packets: DynArray[Packet, MAX_BATCH],
    acknowledgements: DynArray[Bytes[MAX_ANSWER], MAX_BATCH],
    proof: Bytes[MAX_PROOF],
    height: Height,
):
    """
    @notice As `ackPacket`, for packets of one lane in the order of their leaves.
    """
    assert len(packets) != 0 and len(packets) == len(acknowledgements), "packet.none"
    lane: bytes32 = keccak256(packets[0].sourceClient)
    self._open(lane)
    dest: bytes32 = self._from_counterparty(lane, packets[0].destClient)
    leaves: DynArray[Leaf, MAX_BATCH] = []
    i: uint256 = 0
    for packet: Packet in packets:
        assert keccak256(packet.sourceClient) == lane, "packet.lanes_mixed"
        assert keccak256(packet.destClient) == dest, "packet.counterparty"
        leaves.append(self._answered(packet, acknowledgements[i]))
        i += 1
    extcall Client(self._client(lane)).verify(height.revisionHeight, leaves, proof)
    i = 0
    for packet: Packet in packets:
        self._acknowledge(packet, acknowledgements[i])
        i += 1


@external
@nonreentrant
def timeoutPacket(msg_: MsgTimeoutPacket):
    """
    @notice End a packet that was not received in time: proven absent at a height whose time is at or past its timeout.
    """
    packet: Packet = msg_.packet
    lane: bytes32 = keccak256(packet.sourceClient)
    leaf: Leaf = Leaf(path=self._path(packet.destClient, 0x02, packet.sequence), value=empty(bytes32))
    time: uint64 = extcall Client(self._client(lane)).verify(
        msg_.proofHeight.revisionHeight, [leaf], msg_.proofTimeout
    )
    assert time >= packet.timeoutTimestamp, "packet.timeout_not_reached"
    self._open(lane)
    self._from_counterparty(lane, packet.destClient)
    if self._ended(packet):
        return
    log TimeoutPacket(clientId=packet.sourceClient, sequence=packet.sequence, packet=packet)
    app: address = self._app(packet.payloads[0].sourcePort)
    extcall App(app).onTimeoutPacket(
        OnTimeoutPacketCallback(
            sourceClient=packet.sourceClient,
            destinationClient=packet.destClient,
            sequence=packet.sequence,
            payload=packet.payloads[0],
            relayer=msg.sender,
        )
    )


# ---- what others read


@external
@view
def getCommitment(hashedPath: bytes32) -> bytes32:
    """
    @notice Value under keccak256 of an ICS-24 v2 path: commitment, receipt or acknowledgement; zero if there is none.
    """
    return self.commitments[self._slot(hashedPath)]


@external
@view
def getClient(clientId: String[64]) -> address:
    return self._client(keccak256(clientId))


@external
@view
def getLane(clientId: String[64]) -> (String[64], address, uint64, bool, uint256):
    """
    @return Counterparty's client id, guardian, next sequence, whether it is paused, limits packed as in Lane.client.
    """
    lane: Lane = self.lanes[keccak256(clientId)]
    paused: bool = lane.counters >> 168 != 0
    return lane.counterparty, lane.guardian, convert(lane.counters & MASK_64, uint64), paused, lane.client >> 160


# ---- how


@internal
@pure
def _limited(client: address, out_max: uint32, in_max: uint32, window_s: uint32) -> uint256:
    limits: uint256 = convert(out_max, uint256) | (convert(in_max, uint256) << 32) | (convert(window_s, uint256) << 64)
    return convert(client, uint256) | (limits << 160)


@internal
@view
def _client(lane: bytes32) -> address:
    client: address = convert(self.lanes[lane].client & (2**160 - 1), address)
    assert client != empty(address), "client.unknown"
    return client


@internal
@view
def _app(port: String[64]) -> address:
    app: address = convert(self.ports[keccak256(port)] & (2**160 - 1), address)
    assert app != empty(address), "port.unknown"
    return app


@internal
@view
def _open(lane: bytes32):
    assert self.lanes[lane].counters >> 168 == 0, "lane.paused"


@internal
@view
def _from_counterparty(lane: bytes32, remote: String[64]) -> bytes32:
    found: bytes32 = keccak256(remote)
    assert keccak256(self.lanes[lane].counterparty) == found, "packet.counterparty"
    return found


@internal
def _count(lane: bytes32, out: uint256, taken: uint256) -> uint256:
    """
    @notice Count packets against the lane's limits. Returns the next sequence, and takes as many as go `out`.
    """
    rules: uint256 = self.lanes[lane].client >> 160
    counters: uint256 = self.lanes[lane].counters
    assert counters != 0, "client.unknown"
    assert counters >> 168 == 0, "lane.paused"
    start: uint256 = (counters >> 64) & MASK_40
    sent: uint256 = out
    received: uint256 = taken
    if block.timestamp < start + (rules >> 64):
        sent += (counters >> 104) & MASK_32
        received += (counters >> 136) & MASK_32
    else:
        start = block.timestamp
    assert sent <= rules & MASK_32 and received <= (rules >> 32) & MASK_32, "lane.limit"
    sequence: uint256 = counters & MASK_64
    self.lanes[lane].counters = (sequence + out) | (start << 64) | (sent << 104) | (received << 136)
    return sequence


@internal
@pure
def _path(client: String[64], kind: bytes1, sequence: uint64) -> bytes32:
    """
    @notice keccak256 of an ICS-24 v2 key: client id, 1 (commitment), 2 (receipt) or 3 (acknowledgement), sequence.
    """
    return keccak256(concat(convert(client, Bytes[64]), kind, convert(sequence, bytes8)))


@internal
@pure
def _slot(path: bytes32) -> uint256:
    return convert(keccak256(concat(path, COMMITMENTS_SLOT)), uint256)


@internal
@pure
def _commitment(packet: Packet) -> bytes32:
    """
    @notice ICS-04 v2 packet commitment. Exactly one payload: more are refused, as they are on foreign lanes (P2).
    """
    assert len(packet.payloads) == 1, "packet.invalid"
    payload: bytes32 = sha256(
        concat(
            sha256(packet.payloads[0].sourcePort),
            sha256(packet.payloads[0].destPort),
            sha256(packet.payloads[0].version),
            sha256(packet.payloads[0].encoding),
            sha256(packet.payloads[0].value),
        )
    )
    return sha256(
        concat(
            0x02,
            sha256(packet.destClient),
            sha256(concat(convert(packet.timeoutTimestamp, bytes8), b"")),
            sha256(payload),
        )
    )


@internal
@view
def _sent(packet: Packet) -> Leaf:
    """
    @notice What the other ledger must hold for a packet to be received.
    """
    return Leaf(
        path=self._path(packet.sourceClient, 0x01, packet.sequence),
        value=self._commitment(packet),
    )


@internal
@pure
def _acknowledgement_commitment(answer: Bytes[MAX_ANSWER]) -> bytes32:
    return sha256(concat(0x02, sha256(answer)))


@internal
@view
def _answered(packet: Packet, answer: Bytes[MAX_ANSWER]) -> Leaf:
    """
    @notice What the other ledger must hold for a packet to be acknowledged with this answer.
    """
    assert len(answer) != 0, "answer.empty"
    return Leaf(
        path=self._path(packet.destClient, 0x03, packet.sequence),
        value=self._acknowledgement_commitment(answer),
    )


@internal
def _receive(packet: Packet, commitment: bytes32) -> bool:
    """
    @return Whether it is new. The caller counts what is against the lane, which refuses everything if it is stopped.
    """
    assert block.timestamp < convert(packet.timeoutTimestamp, uint256), "packet.expired"
    receipt: uint256 = self._slot(self._path(packet.destClient, 0x02, packet.sequence))
    if self.commitments[receipt] != empty(bytes32):
        log Noop()
        return False
    self.commitments[receipt] = commitment
    answer: Bytes[MAX_ANSWER] = self._deliver(packet)
    stored: bytes32 = REFUSED_COMMITMENT
    if len(answer) == 0:
        answer = concat(REFUSED, b"")
    else:
        stored = self._acknowledgement_commitment(answer)
        assert stored != REFUSED_COMMITMENT, "answer.sentinel"
    self.commitments[self._slot(self._path(packet.destClient, 0x03, packet.sequence))] = stored
    log WriteAcknowledgement(
        clientId=packet.destClient, sequence=packet.sequence, packet=packet, acknowledgements=[answer]
    )
    return True


@internal
def _deliver(packet: Packet) -> Bytes[MAX_ANSWER]:
    """
    @notice Ask the application. Whatever goes wrong in it is its refusal (an empty answer), and undone with it;
            only a relayer's lack of gas is not, since that is not the application's word.
    """
    port: uint256 = self.ports[keccak256(packet.payloads[0].destPort)]
    if port == 0:
        return b""
    gas_max: uint256 = port >> 160
    # EIP-150 keeps a 64th back; 60,000 more pay for the acknowledgement and its log
    assert msg.gas > gas_max + gas_max // 63 + 60_000, "relayer.gas"
    done: bool = False
    answer: Bytes[MAX_ANSWER + 64] = b""
    done, answer = raw_call(
        convert(port & (2**160 - 1), address),
        abi_encode(
            OnRecvPacketCallback(
                sourceClient=packet.sourceClient,
                destinationClient=packet.destClient,
                sequence=packet.sequence,
                payload=packet.payloads[0],
                relayer=msg.sender,
            ),
            method_id=method_id(
                "onRecvPacket((string,string,uint64,(string,string,string,string,bytes),address))"
            ),
        ),
        max_outsize=MAX_ANSWER + 64,
        gas=gas_max,
        revert_on_failure=False,
    )
    # one value of type bytes, in canonical form: decoding what is not would revert the whole batch
    if not done or len(answer) < 96 or extract32(answer, 0, output_type=uint256) != 32:
        return b""
    size: uint256 = extract32(answer, 32, output_type=uint256)
    if size == 0 or size > len(answer) - 64:
        return b""
    return abi_decode(answer, Bytes[MAX_ANSWER])


@internal
def _ended(packet: Packet) -> bool:
    """
    @notice Delete the commitment of a packet that ended here. True, and a Noop, if there is none any more.
    """
    slot: uint256 = self._slot(self._path(packet.sourceClient, 0x01, packet.sequence))
    stored: bytes32 = self.commitments[slot]
    if stored == empty(bytes32):
        log Noop()
        return True
    assert stored == self._commitment(packet), "packet.mismatch"
    self.commitments[slot] = empty(bytes32)
    return False


@internal
def _acknowledge(packet: Packet, answer: Bytes[MAX_ANSWER]):
    if self._ended(packet):
        return
    log AckPacket(clientId=packet.sourceClient, sequence=packet.sequence, packet=packet, acknowledgement=answer)
    app: address = self._app(packet.payloads[0].sourcePort)
    extcall App(app).onAcknowledgementPacket(
        OnAcknowledgementPacketCallback(
            sourceClient=packet.sourceClient,
            destinationClient=packet.destClient,
            sequence=packet.sequence,
            payload=packet.payloads[0],
            acknowledgement=answer,
            relayer=msg.sender,
        )
    )
