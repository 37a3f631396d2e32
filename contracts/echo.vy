# pragma version 0.4.3
# pragma evm-version cancun
# pragma optimize gas
"""
@title  Echo: an example application
@notice Answers a body with its SHA-256, and refuses one that starts with a zero byte. Its owner says, once, whom it
        talks to: a client id alone, since whoever opens a lane chooses what its client believes.
"""

MAX_BATCH: constant(uint256) = 50
MAX_BODY: constant(uint256) = 1024
MAX_ASKED: constant(uint256) = 512  # bytes of a body that is sent in a batch
MAX_ANSWER: constant(uint256) = 512


struct Payload:
    sourcePort: String[64]
    destPort: String[64]
    version: String[32]
    encoding: String[32]
    value: Bytes[MAX_BODY]

struct MsgSendPacket:
    sourceClient: String[64]
    timeoutTimestamp: uint64
    payload: Payload

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

interface Host:
    def bindPort(gas_max: uint256) -> String[42]: nonpayable
    def sendPacket(msg_: MsgSendPacket) -> uint64: nonpayable

event Answered:
    sequence: indexed(uint64)  # the answer itself is in the host's event

event Lapsed:
    sequence: indexed(uint64)


HOST: immutable(address)
OWNER: immutable(address)
PORT: immutable(String[42])  # this contract's address, as others name it
lane: bytes32  # keccak256 of the one client id it talks over


@deploy
def __init__(host: address):
    HOST = host
    OWNER = msg.sender
    PORT = extcall Host(host).bindPort(100_000)


@external
@view
def port() -> String[42]:
    return PORT


@external
def open(clientId: String[64]):
    """
    @notice Say which client this application talks over. Only its owner, and only once.
    """
    assert msg.sender == OWNER and self.lane == empty(bytes32), "echo.owner"
    self.lane = keccak256(clientId)


@external
def ask(clientId: String[64], destPort: String[64], body: Bytes[MAX_BODY], timeout: uint64) -> uint64:
    return extcall Host(HOST).sendPacket(
        MsgSendPacket(
            sourceClient=clientId,
            timeoutTimestamp=timeout,
            payload=Payload(
                sourcePort=PORT, destPort=destPort, version="echo-1", encoding="application/octet-stream", value=body
            ),
        )
    )


@external
def askMany(
    clientId: String[64], destPort: String[64], bodies: DynArray[Bytes[MAX_ASKED], MAX_BATCH], timeout: uint64
):
    message: MsgSendPacket = MsgSendPacket(
        sourceClient=clientId,
        timeoutTimestamp=timeout,
        payload=Payload(
            sourcePort=PORT, destPort=destPort, version="echo-1", encoding="application/octet-stream", value=b""
        ),
    )
    for body: Bytes[MAX_ASKED] in bodies:
        message.payload.value = body
        extcall Host(HOST).sendPacket(message)


@external
def onRecvPacket(msg_: OnRecvPacketCallback) -> Bytes[32]:
    self._from_host(msg_.destinationClient)
    assert slice(msg_.payload.value, 0, 1) != b"\x00", "echo.refused"
    return concat(sha256(msg_.payload.value), b"")


@external
def onAcknowledgementPacket(msg_: OnAcknowledgementPacketCallback):
    self._from_host(msg_.sourceClient)
    log Answered(sequence=msg_.sequence)


@external
def onTimeoutPacket(msg_: OnTimeoutPacketCallback):
    self._from_host(msg_.sourceClient)
    log Lapsed(sequence=msg_.sequence)


@internal
@view
def _from_host(clientId: String[64]):
    assert msg.sender == HOST, "echo.host"
    assert keccak256(clientId) == self.lane, "echo.lane"
