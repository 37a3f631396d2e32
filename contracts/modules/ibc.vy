# pragma version 0.4.3
# pragma evm-version cancun
"""
@title  Packets, and what stands for them in a store
@notice The types have the ABI of solidity-ibc's ICS26 router; commitments are those of ICS-04 v2, paths those of
        ICS-24 v2. A host, its clients and its applications share this page.
"""

MAX_BATCH: constant(uint256) = 50     # packets in one transaction; memory of the batch calls grows with it
MAX_BODY: constant(uint256) = 1024    # bytes of a payload's value
MAX_ANSWER: constant(uint256) = 512   # bytes of one acknowledgement
MAX_PROOF: constant(uint256) = 4096   # bytes: sixteen signatures and the siblings of a batch
# SHA-256 of "UNIVERSAL_ERROR_ACKNOWLEDGEMENT", and the commitment of the list that holds it alone (ICS-04 v2)
REFUSED: constant(bytes32) = 0x4774d4a575993f963b1c06573736617a457abef8589178db8d10c94b4ab511ab
REFUSED_COMMITMENT: constant(bytes32) = 0xe2fb30dfbf7abdeaca82d426534d2b3a9d5444dd2a87fa16d38b77ba1a13ced7


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

# A packet of a batch, whose packets share their two clients: it has one payload, since no other packet is taken (P2)
struct Item:
    sequence: uint64
    timeoutTimestamp: uint64
    payload: Payload

# What is proven of the other ledger: a hashed ICS-24 v2 path and its value, zero for "nothing is stored there"
struct Leaf:
    path: bytes32
    value: bytes32


@internal
@pure
def path_of(client: String[64], kind: bytes1, sequence: uint64) -> bytes32:
    """
    @notice keccak256 of an ICS-24 v2 key: client id, 1 (commitment), 2 (receipt) or 3 (acknowledgement), sequence.
    """
    return keccak256(concat(convert(client, Bytes[64]), kind, convert(sequence, bytes8)))


@internal
@pure
def item_of(packet: Packet) -> Item:
    """
    @notice A packet without its clients. Exactly one payload: more are refused, as they are on foreign lanes (P2).
    """
    assert len(packet.payloads) == 1, "packet.invalid"
    return Item(
        sequence=packet.sequence, timeoutTimestamp=packet.timeoutTimestamp, payload=packet.payloads[0]
    )


@internal
@pure
def commitment_of(dest: bytes32, item: Item) -> bytes32:
    """
    @notice ICS-04 v2 packet commitment. `dest` is SHA-256 of the destination client's id, once for a whole batch.
    """
    payload: bytes32 = sha256(
        concat(
            sha256(item.payload.sourcePort),
            sha256(item.payload.destPort),
            sha256(item.payload.version),
            sha256(item.payload.encoding),
            sha256(item.payload.value),
        )
    )
    return sha256(
        concat(0x02, dest, sha256(concat(convert(item.timeoutTimestamp, bytes8), b"")), sha256(payload))
    )


@internal
@pure
def acknowledgement_commitment_of(answer: Bytes[MAX_ANSWER]) -> bytes32:
    return sha256(concat(0x02, sha256(answer)))


@internal
@pure
def sent(source: String[64], dest: bytes32, item: Item) -> Leaf:
    """
    @notice What the other ledger must hold for a packet to be received.
    """
    return Leaf(path=self.path_of(source, 0x01, item.sequence), value=self.commitment_of(dest, item))


@internal
@pure
def answered(dest: String[64], sequence: uint64, answer: Bytes[MAX_ANSWER]) -> Leaf:
    """
    @notice What the other ledger must hold for a packet to be acknowledged with this answer.
    """
    assert len(answer) != 0, "answer.empty"
    return Leaf(path=self.path_of(dest, 0x03, sequence), value=self.acknowledgement_commitment_of(answer))
