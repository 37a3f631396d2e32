# pragma version 0.4.3
# pragma evm-version cancun
"""
@title  Lanes: a client of another ledger, the id it has there, and how many packets may pass
@notice Who opens a lane is its guardian, and nothing of it but the limits ever changes. The limits hold for each port
        that he admitted by itself, and for all others together, so that no application spends what is another's.
"""

from modules import ibc

RESUME_DELAY: constant(uint256) = 3_600  # seconds from the announcement of looser rules to their effect: P16
MASK_32: constant(uint256) = 2**32 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_64: constant(uint256) = 2**64 - 1


struct Lane:
    client: uint256      # address | packets out per window << 160 | packets in << 192 | window in seconds << 224
    counters: uint256    # next sequence | paused << 64
    counterparty: String[64]
    guardian: address    # may stop the lane at once, and loosen its rules after RESUME_DELAY
    announced: uint256   # limits as in `client` | lawful from << 160 (seconds); zero when nothing is announced

interface Client:
    def bind(clientId: String[64], opener: address): nonpayable
    def status() -> (bool, uint64, uint64): view
    def verify(
        height: uint64, leaves: DynArray[ibc.Leaf, ibc.MAX_BATCH], proof: Bytes[ibc.MAX_PROOF]
    ) -> uint64: nonpayable

event ClientAdded:
    clientId: String[64]
    counterparty: String[64]
    client: address
    guardian: address

event PortAdmitted:
    clientId: String[64]
    port: String[64]
    lawful_from: uint256  # zero: dismissed

event LanePaused:
    clientId: String[64]

event RulesAnnounced:
    clientId: String[64]
    lawful_from: uint256

event RulesEnacted:
    clientId: String[64]


lanes: HashMap[bytes32, Lane]  # by keccak256 of the client id
# By lane, and by keccak256 of an admitted port, or zero for all others together:
# window start | out << 40 | in << 72 | admitted from << 104 (seconds; zero: not admitted)
shares: HashMap[bytes32, HashMap[bytes32, uint256]]
clients: uint32


@external
def addClient(counterparty: String[64], client: address, out_max: uint32, in_max: uint32, window_s: uint32) -> String[64]:
    """
    @notice Open a lane: a client of the other ledger under a new id. The sender is its guardian. None of it but the
            limits ever changes.
    """
    assert len(counterparty) >= 8, "lane.counterparty"  # ICS-24: 8..64 characters
    assert client.is_contract, "lane.client"
    id: String[64] = concat("client-", uint2str(self.clients))
    self.clients += 1
    lane: bytes32 = keccak256(id)
    self.lanes[lane].client = self._limited(client, out_max, in_max, window_s)
    self.lanes[lane].counterparty = counterparty
    self.lanes[lane].guardian = msg.sender
    self.lanes[lane].counters = 1
    extcall Client(client).bind(id, msg.sender)
    log ClientAdded(clientId=id, counterparty=counterparty, client=client, guardian=msg.sender)
    return id


@external
def pause(clientId: String[64]):
    """
    @notice Stop everything on a lane, at once. Packets under way are suspended, not lost: they go on when it does.
    """
    lane: bytes32 = self._guarded(clientId)
    self.lanes[lane].counters |= 1 << 64
    self.lanes[lane].announced = 0  # looser rules that were announced before the stop need announcing anew
    log LanePaused(clientId=clientId)


@external
def admit(clientId: String[64], port: String[64], admitted: bool):
    """
    @notice Give a port limits of its own, RESUME_DELAY from now, or take them away at once: then it shares those of
            everybody who was not admitted.
    """
    lane: bytes32 = self._guarded(clientId)
    lawful_from: uint256 = block.timestamp + RESUME_DELAY if admitted else 0
    self.shares[lane][keccak256(port)] = lawful_from << 104
    log PortAdmitted(clientId=clientId, port=port, lawful_from=lawful_from)


@external
def announce(clientId: String[64], out_max: uint32, in_max: uint32, window_s: uint32):
    """
    @notice Announce new limits and, if it is paused, the resumption of a lane; `enact` is lawful after RESUME_DELAY.
    """
    lane: bytes32 = self._guarded(clientId)
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
    self.lanes[lane].counters &= MASK_64
    self.lanes[lane].announced = 0
    log RulesEnacted(clientId=clientId)


@external
@view
def getShare(clientId: String[64], port: String[64]) -> uint256:
    """
    @return What is counted for an admitted port, packed as in `shares`; for the empty port, what all others share.
    """
    key: bytes32 = empty(bytes32)
    if len(port) != 0:
        key = keccak256(port)
    return self.shares[keccak256(clientId)][key]


@external
@view
def getClient(clientId: String[64]) -> address:
    return self.client_of(keccak256(clientId))


@external
@view
def getLane(clientId: String[64]) -> (String[64], address, uint64, bool, uint256):
    """
    @return Counterparty's client id, guardian, next sequence, whether it is paused, limits packed as in Lane.client.
    """
    lane: Lane = self.lanes[keccak256(clientId)]
    paused: bool = lane.counters >> 64 != 0
    return lane.counterparty, lane.guardian, convert(lane.counters & MASK_64, uint64), paused, lane.client >> 160


@internal
@view
def client_of(lane: bytes32) -> address:
    client: address = convert(self.lanes[lane].client & (2**160 - 1), address)
    assert client != empty(address), "client.unknown"
    return client


@internal
def verify(
    lane: bytes32, height: uint64, leaves: DynArray[ibc.Leaf, ibc.MAX_BATCH], proof: Bytes[ibc.MAX_PROOF]
) -> uint64:
    """
    @notice Have the lane's client verify what the other ledger holds; reverts where it is not proven.
    @return That ledger's time at the height, in seconds.
    """
    return extcall Client(self.client_of(lane)).verify(height, leaves, proof)


@internal
@view
def newest_time(lane: bytes32) -> uint64:
    """
    @return The newest time of the other ledger that an active client knows, in seconds.
    """
    active: bool = False
    height: uint64 = 0
    time: uint64 = 0
    active, height, time = staticcall Client(self.client_of(lane)).status()
    assert active and height != 0, "client.not_active"
    return time


@internal
@view
def check_open(lane: bytes32) -> uint256:
    """
    @return The counters of a lane that is not paused.
    """
    counters: uint256 = self.lanes[lane].counters
    assert counters >> 64 == 0, "lane.paused"
    return counters


@internal
@view
def check_counterparty(lane: bytes32, remote: String[64]):
    assert keccak256(self.lanes[lane].counterparty) == keccak256(remote), "packet.counterparty"


@internal
def next_sequence(lane: bytes32) -> uint256:
    """
    @notice Take the next sequence of a lane that is not paused.
    """
    sequence: uint256 = self.check_open(lane)
    self.lanes[lane].counters = unsafe_add(sequence, 1)  # 64 bits of it
    return sequence


@internal
def count(lane: bytes32, port: bytes32, out: uint256, taken: uint256) -> bool:
    """
    @notice Count packets of a port (keccak256) against its limits, or those that it shares with everybody.
    @return Whether they are within; if not, nothing was counted.
    """
    share: uint256 = self.shares[lane][port]
    key: bytes32 = port
    if share >> 104 == 0 or block.timestamp < share >> 104:
        key = empty(bytes32)
        share = self.shares[lane][key]
    rules: uint256 = self.lanes[lane].client >> 160
    # unsafe_add: fields of 64 bits at most are no overflow of 256
    start: uint256 = share & MASK_40
    sent: uint256 = out
    received: uint256 = taken
    if block.timestamp < unsafe_add(start, rules >> 64):
        sent = unsafe_add(sent, (share >> 40) & MASK_32)
        received = unsafe_add(received, (share >> 72) & MASK_32)
    else:
        start = block.timestamp
    if sent > rules & MASK_32 or received > (rules >> 32) & MASK_32:
        return False
    self.shares[lane][key] = start | (sent << 40) | (received << 72) | ((share >> 104) << 104)
    return True


@internal
@view
def _guarded(clientId: String[64]) -> bytes32:
    """
    @return The lane, which the sender guards.
    """
    lane: bytes32 = keccak256(clientId)
    assert msg.sender == self.lanes[lane].guardian, "lane.guardian"
    return lane


@internal
@pure
def _limited(client: address, out_max: uint32, in_max: uint32, window_s: uint32) -> uint256:
    assert window_s != 0 and out_max != 0 and in_max != 0, "lane.limits"
    limits: uint256 = convert(out_max, uint256) | (convert(in_max, uint256) << 32) | (convert(window_s, uint256) << 64)
    return convert(client, uint256) | (limits << 160)
