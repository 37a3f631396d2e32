# pragma version 0.4.3
# pragma evm-version cancun
# pragma optimize gas
"""
@title  Attested client: what m of n operators say another ledger holds
@notice An attestation is an EIP-712 struct, so that it binds network, contract, attested ledger, client and epoch of
        the signing set. It covers height, time and state root, and the Merkle root of the leaves somebody asked for:
        the quorum is verified once, however many packets it brings. Two attestations that cannot both be true freeze
        the client for good, those of a set that handed over too, for as long as EVIDENCE_S. Operators are listed once
        each, so no operator counts twice.
"""

MAX_BATCH: constant(uint256) = 50     # leaves of one call, as in the host
MAX_LEAVES: constant(uint256) = 256   # leaves under one root: their positions are the bits of one word
MAX_DEPTH: constant(uint256) = 8      # levels over MAX_LEAVES
MAX_MEMBERS: constant(uint256) = 16   # a quorum must fit one transaction beside its packets
MAX_PROOF: constant(uint256) = 4096   # as in the host
MAX_UPDATE: constant(uint256) = 1828  # bytes of a call with sixteen signatures, and a word more
IDENTITY: constant(address) = 0x0000000000000000000000000000000000000004  # how a contract reads its call's bytes
MAX_DRIFT: constant(uint256) = 60     # seconds an attested time may be ahead of this chain's
EVIDENCE_S: constant(uint256) = 1_814_400  # three weeks: how long a set answers for its words after it handed over
EIP712: constant(bytes2) = 0x1901
DOMAIN: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)"
)
NAME: constant(bytes32) = keccak256("lockgate.attested")
VERSION: constant(bytes32) = keccak256("1")
ATTESTATION: constant(bytes32) = keccak256(
    "Attestation(bytes32 client,uint64 epoch,uint64 height,uint64 time,bytes32 stateRoot,bytes32 leavesRoot)"
)
ROTATION: constant(bytes32) = keccak256("Rotation(bytes32 client,uint64 epoch,bytes32 following)")
LEAF: constant(bytes32) = keccak256("lockgate.attested.leaf")


struct Leaf:
    path: bytes32    # keccak256 of an ICS-24 v2 key in the attested ledger's `ibc` store
    value: bytes32   # zero: nothing is stored there

struct Signature:
    signer: uint8    # position in the set
    r: bytes32
    vs: bytes32      # EIP-2098

struct Attestation:
    epoch: uint64
    height: uint64
    time: uint64     # Unix seconds, floored: P13
    stateRoot: bytes32
    leavesRoot: bytes32
    signatures: DynArray[Signature, MAX_MEMBERS]

# Which of the `size` leaves under the root are meant, and the siblings that lead from them to it, bottom up
struct Inclusion:
    size: uint64
    positions: uint256  # bits
    siblings: DynArray[bytes32, 64]

struct Member:
    operator: uint64
    signer: address
    weight: uint64   # 1..65,535

struct Set:
    members: DynArray[Member, MAX_MEMBERS]  # by ascending operator, each once
    threshold: uint64                       # of weight
    operators: uint64                       # how many must sign, whatever their weight
    expires: uint64                         # Unix seconds: a set that nobody renews lapses

event Bound:
    clientId: String[64]

event Rotated:
    epoch: uint64

event Frozen:
    height: uint64


HOST: immutable(address)
OPENER: immutable(address)
SOURCE: immutable(bytes32)  # domain id of the attested ledger: P9

# frozen | epoch << 8 | height << 32 | time << 96 | expires << 136 | threshold << 176 | total << 200
# | operators << 224 | members << 232: one slot, read once for each batch
head: uint256
client: bytes32                              # keccak256 of the id the host knows this client by
members: HashMap[uint256, uint256]           # epoch << 8 | position: signer | weight << 160
ended: HashMap[uint256, uint256]             # epoch: as `head`, but expires is when evidence counts no more


@deploy
def __init__(host: address, source: bytes32, first: Set):
    assert host.is_contract and source != empty(bytes32), "client.constructor"
    HOST = host
    OPENER = msg.sender
    SOURCE = source
    self._install(1, first, 0, 0)


@external
def bind(clientId: String[64], opener: address):
    """
    @notice Learn the id of this client, once, from the host. Only who deployed it may open its lane: whoever was
            first would be its guardian.
    """
    assert msg.sender == HOST and self.client == empty(bytes32), "client.bound"
    assert opener == OPENER, "client.opener"
    self.client = keccak256(clientId)
    log Bound(clientId=clientId)


@external
@view
def status() -> (bool, uint64, uint64):
    """
    @return Whether it is active, and the newest height and time that were attested.
    """
    head: uint256 = self.head
    active: bool = head & 1 == 0 and block.timestamp < (head >> 136) & (2**40 - 1)
    return active, convert((head >> 32) & (2**64 - 1), uint64), convert((head >> 96) & (2**40 - 1), uint64)


@external
@view
def getSet() -> (uint64, DynArray[Member, MAX_MEMBERS], uint64, uint64, uint64):
    """
    @return Epoch, members (operators are not kept: zero), threshold, operators, expiry.
    """
    head: uint256 = self.head
    epoch: uint256 = (head >> 8) & (2**24 - 1)
    found: DynArray[Member, MAX_MEMBERS] = []
    for i: uint256 in range(head >> 232, bound=MAX_MEMBERS):
        one: uint256 = self.members[(epoch << 8) | i]
        found.append(Member(operator=0, signer=convert(one & (2**160 - 1), address), weight=convert(one >> 160, uint64)))
    return (
        convert(epoch, uint64),
        found,
        convert((head >> 176) & (2**24 - 1), uint64),
        convert((head >> 224) & 255, uint64),
        convert((head >> 136) & (2**40 - 1), uint64),
    )


@external
def update(attestation: Attestation):
    """
    @notice Take a newer height and time, without a packet.
    """
    told: Bytes[MAX_UPDATE] = raw_call(IDENTITY, msg.data, max_outsize=MAX_UPDATE, is_static_call=True)
    form: Bytes[MAX_UPDATE] = abi_encode(
        attestation,
        method_id=method_id("update((uint64,uint64,uint64,bytes32,bytes32,(uint8,bytes32,bytes32)[]))"),
    )
    assert keccak256(told) == keccak256(form), "proof.encoding"
    self._accept(attestation)


@external
def verify(height: uint64, leaves: DynArray[Leaf, MAX_BATCH], proof: Bytes[MAX_PROOF]) -> uint64:
    """
    @notice Check that the attested ledger holds these leaves at a height; reverts where it is not proven.
    @param proof abi.encode(Attestation, Inclusion)
    @return The ledger's time at that height, in seconds.
    """
    attestation: Attestation = empty(Attestation)
    inclusion: Inclusion = empty(Inclusion)
    attestation, inclusion = abi_decode(proof, (Attestation, Inclusion))
    assert attestation.height == height, "proof.height"
    # one proof, one form: no gap, order or excess that a decoder passes over
    assert keccak256(abi_encode(attestation, inclusion)) == keccak256(proof), "proof.encoding"
    assert self._root(leaves, inclusion) == attestation.leavesRoot, "proof.root"
    self._accept(attestation)
    return attestation.time


@external
def rotate(following: Set, signatures: DynArray[Signature, MAX_MEMBERS]):
    """
    @notice Hand over to the next set, signed by a quorum of this one. What a quorum needs can only grow.
    """
    head: uint256 = self.head
    epoch: uint256 = (head >> 8) & (2**24 - 1)
    assert head & 1 == 0, "client.frozen"
    content: bytes32 = keccak256(abi_encode(ROTATION, self.client, epoch, keccak256(abi_encode(following))))
    self._quorum(head, epoch, content, signatures)
    self.ended[epoch] = ((head >> 176) << 176) | ((block.timestamp + EVIDENCE_S) << 136)
    self._install(epoch + 1, following, (head >> 176) & (2**24 - 1), (head >> 200) & (2**24 - 1))


@external
def misbehaviour(first: Attestation, second: Attestation):
    """
    @notice Freeze on two attestations of one height that differ in time or state root, or whose times run backwards.
    """
    self._signed(first)
    self._signed(second)
    if first.height == second.height:
        assert first.time != second.time or first.stateRoot != second.stateRoot, "misbehaviour.none"
    else:
        assert first.height < second.height and first.time > second.time, "misbehaviour.none"
    self._freeze(first.height)


@external
def misbehaviourOfLeaf(
    first: Attestation,
    firstLeaf: Leaf,
    firstInclusion: Inclusion,
    second: Attestation,
    secondLeaf: Leaf,
    secondInclusion: Inclusion,
):
    """
    @notice Freeze on one path that was attested with two values at one height.
    """
    self._signed(first)
    self._signed(second)
    assert self._root([firstLeaf], firstInclusion) == first.leavesRoot, "proof.root"
    assert self._root([secondLeaf], secondInclusion) == second.leavesRoot, "proof.root"
    assert first.height == second.height and firstLeaf.path == secondLeaf.path, "misbehaviour.none"
    assert firstLeaf.value != secondLeaf.value, "misbehaviour.none"
    self._freeze(first.height)


@internal
def _freeze(height: uint64):
    self.head |= 1
    log Frozen(height=height)


@internal
def _accept(attestation: Attestation):
    """
    @notice Check a quorum of today's set, and go forward. Time must go with height.
    """
    head: uint256 = self.head
    assert head & 1 == 0, "client.frozen"
    epoch: uint256 = (head >> 8) & (2**24 - 1)
    assert convert(attestation.epoch, uint256) == epoch, "attestation.epoch"
    height: uint256 = convert(attestation.height, uint256)
    time: uint256 = convert(attestation.time, uint256)
    assert height != 0 and attestation.stateRoot != empty(bytes32), "attestation.empty"
    assert time <= block.timestamp + MAX_DRIFT, "attestation.future"
    latest: uint256 = (head >> 32) & (2**64 - 1)
    reached: uint256 = (head >> 96) & (2**40 - 1)
    self._quorum(head, epoch, self._content(attestation), attestation.signatures)
    if height > latest:
        assert time >= reached, "attestation.time"
        self.head = (head & ~((2**104 - 1) << 32)) | (height << 32) | (time << 96)
    else:
        assert time == reached or (height < latest and time < reached), "attestation.time"


@internal
@view
def _signed(attestation: Attestation):
    """
    @notice Check a quorum of today's set, or of one that handed over not long ago, for evidence.
    """
    head: uint256 = self.head
    assert head & 1 == 0, "client.frozen"
    epoch: uint256 = convert(attestation.epoch, uint256)
    if epoch != (head >> 8) & (2**24 - 1):
        head = self.ended[epoch]
        assert head != 0, "attestation.epoch"
    self._quorum(head, epoch, self._content(attestation), attestation.signatures)


@internal
@view
def _content(attestation: Attestation) -> bytes32:
    return keccak256(
        abi_encode(
            ATTESTATION,
            self.client,
            attestation.epoch,
            attestation.height,
            attestation.time,
            attestation.stateRoot,
            attestation.leavesRoot,
        )
    )


@internal
@view
def _quorum(head: uint256, epoch: uint256, content: bytes32, signatures: DynArray[Signature, MAX_MEMBERS]):
    """
    @notice Signers strictly ascending, each of them a member, together of enough weight and number.
    """
    assert block.timestamp < (head >> 136) & (2**40 - 1), "set.expired"
    assert len(signatures) >= (head >> 224) & 255, "attestation.operators"
    # the live chain id, never a stored one: a fork of this network has another (C1)
    domain: bytes32 = keccak256(abi_encode(DOMAIN, NAME, VERSION, chain.id, self, SOURCE))
    digest: bytes32 = keccak256(concat(EIP712, domain, content))
    weight: uint256 = 0
    following: uint256 = 0
    for one: Signature in signatures:
        position: uint256 = convert(one.signer, uint256)
        assert position >= following, "attestation.order"
        following = position + 1
        member: uint256 = self.members[(epoch << 8) | position]
        vs: uint256 = convert(one.vs, uint256)
        s: uint256 = vs & (2**255 - 1)  # 255 bits are the lower half of the order: one signature, one form
        signer: address = ecrecover(digest, (vs >> 255) + 27, convert(one.r, uint256), s)
        assert signer != empty(address) and signer == convert(member & (2**160 - 1), address), "attestation.signer"
        weight += member >> 160
    assert weight >= (head >> 176) & (2**24 - 1), "attestation.weight"


@internal
def _install(epoch: uint256, following: Set, threshold: uint256, total: uint256):
    """
    @notice Take a set, if no operator alone can reach its threshold, any two quorums of it share an operator, and it
            asks for no smaller share, and no fewer operators, than the one before.
    """
    weight: uint256 = 0
    heaviest: uint256 = 0
    last: uint256 = 0
    i: uint256 = 0
    for member: Member in following.members:
        one: uint256 = convert(member.weight, uint256)
        operator: uint256 = convert(member.operator, uint256)
        assert operator > last, "set.operator"
        assert member.signer != empty(address) and one != 0 and one < 2**16, "set.member"
        for j: uint256 in range(i, bound=MAX_MEMBERS):
            assert following.members[j].signer != member.signer, "set.signer_twice"
        last = operator
        weight += one
        heaviest = max(heaviest, one)
        self.members[(epoch << 8) | i] = convert(member.signer, uint256) | (one << 160)
        i += 1
    required: uint256 = convert(following.threshold, uint256)
    operators: uint256 = convert(following.operators, uint256)
    expires: uint256 = convert(following.expires, uint256)
    assert required <= weight and 2 * required > weight and heaviest < required, "set.threshold"
    assert operators >= 2 and operators <= i and 2 * operators > i, "set.operators"  # two quorums share one (B1)
    assert required * total >= threshold * weight, "set.lowered"
    assert operators >= (self.head >> 224) & 255, "set.lowered"
    assert expires > block.timestamp and expires < 2**40, "set.expired"
    self.head = (
        (self.head & ((2**104 - 1) << 32))
        | (epoch << 8)
        | (expires << 136)
        | (required << 176)
        | (weight << 200)
        | (operators << 224)
        | (i << 232)
    )
    log Rotated(epoch=convert(epoch, uint64))


@internal
@pure
def _root(leaves: DynArray[Leaf, MAX_BATCH], inclusion: Inclusion) -> bytes32:
    """
    @notice The Merkle root over these leaves and siblings. Level by level; a last node without a neighbour goes up as
            it is. A leaf hashes 96 bytes and a node 64, so that neither passes for the other; every leaf and every
            sibling is used exactly once.
    """
    width: uint256 = convert(inclusion.size, uint256)
    count: uint256 = len(leaves)
    assert count != 0 and width >= count and width <= MAX_LEAVES, "proof.size"
    assert inclusion.positions >> width == 0, "proof.positions"  # no bit of a proof is without meaning (A2)
    nodes: bytes32[MAX_BATCH] = empty(bytes32[MAX_BATCH])
    at: uint256[MAX_BATCH] = empty(uint256[MAX_BATCH])
    used: uint256 = 0
    # unsafe_add below: none of these counts comes near 2**256, and every index is checked all the same
    positions: uint256 = inclusion.positions
    for position: uint256 in range(width, bound=MAX_LEAVES):
        if positions & 1 != 0:
            assert used < count, "proof.positions"
            nodes[used] = keccak256(abi_encode(LEAF, leaves[used].path, leaves[used].value))
            at[used] = position
            used = unsafe_add(used, 1)
        positions >>= 1
    assert used == count, "proof.positions"
    taken: uint256 = 0
    for level: uint256 in range(MAX_DEPTH):
        if width == 1:
            break
        kept: uint256 = 0
        i: uint256 = 0
        for _: uint256 in range(count, bound=MAX_BATCH):
            if i >= count:
                break
            position: uint256 = at[i]
            node: bytes32 = nodes[i]
            i = unsafe_add(i, 1)
            if position & 1 != 0:
                node = keccak256(concat(inclusion.siblings[taken], node))
                taken = unsafe_add(taken, 1)
            elif unsafe_add(position, 1) < width:
                if i < count and at[i] == unsafe_add(position, 1):
                    node = keccak256(concat(node, nodes[i]))
                    i = unsafe_add(i, 1)
                else:
                    node = keccak256(concat(node, inclusion.siblings[taken]))
                    taken = unsafe_add(taken, 1)
            nodes[kept] = node
            at[kept] = position >> 1
            kept = unsafe_add(kept, 1)
        count = kept
        width = unsafe_add(width, 1) >> 1
    assert taken == len(inclusion.siblings), "proof.siblings"
    return nodes[0]
