# pragma version 0.4.3
# pragma evm-version cancun
"""
@title  Tally: counts what it is sent, and answers with the count
@notice A body is the word that is counted; an empty one is refused. Who may be heard is said once, by the owner.
"""


struct Payload:
    sourcePort: String[64]
    destPort: String[64]
    version: String[32]
    encoding: String[32]
    value: Bytes[1024]

struct OnRecvPacketCallback:
    sourceClient: String[64]
    destinationClient: String[64]
    sequence: uint64
    payload: Payload
    relayer: address

interface Host:
    def bindPort(gas_max: uint256) -> String[42]: nonpayable

VERSION: constant(String[32]) = "tally-1"
GAS_MAX: constant(uint256) = 50_000  # of one call: the dearest takes 31,000

HOST: immutable(address)
OWNER: immutable(address)
client: bytes32                         # keccak256 of the one lane's client id that is heard
sender: bytes32                         # and of the port there
counted: public(HashMap[bytes32, uint256])  # by keccak256 of the word


@deploy
def __init__(host: address):
    HOST = host
    OWNER = msg.sender
    extcall Host(host).bindPort(GAS_MAX)


@external
def listen(clientId: String[64], sourcePort: String[64]):
    """
    @notice Say who is heard: an application on the ledger behind a lane. Once.
    """
    assert msg.sender == OWNER and self.client == empty(bytes32), "tally.owner"
    self.client = keccak256(clientId)
    self.sender = keccak256(sourcePort)


@external
def onRecvPacket(msg_: OnRecvPacketCallback) -> Bytes[32]:
    assert msg.sender == HOST, "tally.host"
    assert keccak256(msg_.destinationClient) == self.client, "tally.lane"
    assert keccak256(msg_.payload.sourcePort) == self.sender, "tally.sender"
    assert msg_.payload.version == VERSION, "tally.version"
    assert len(msg_.payload.value) != 0, "tally.empty"
    word: bytes32 = keccak256(msg_.payload.value)
    count: uint256 = self.counted[word] + 1
    self.counted[word] = count
    return concat(convert(count, bytes32), b"")
