# pragma version 0.4.3
# pragma evm-version cancun
"""
@title  An application that does what a test tells it to, to the host and to those who share its lane
"""


struct Payload:
    sourcePort: String[64]
    destPort: String[64]
    version: String[32]
    encoding: String[32]
    value: Bytes[1024]

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
    acknowledgement: Bytes[512]
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

flag Mood:
    ANSWER   # with exactly the bytes it was given
    REVERT   # with exactly the bytes it was given
    GUZZLE   # all the gas there is
    REENTER  # call the host back, and go on whatever comes of it


HOST: immutable(address)
mood: Mood
words: Bytes[16384]    # what it answers or reverts with, not ABI-encoded
attack: Bytes[8192]    # calldata for the host
calls: public(uint256)      # how often it was called, as far as that was not undone
entered: public(uint256)    # how many attacks the host let in


@deploy
def __init__(host: address):
    HOST = host


@external
def bind(gas_max: uint256) -> String[42]:
    return extcall Host(HOST).bindPort(gas_max)


@external
def be(mood: uint256, words: Bytes[16384], attack: Bytes[8192]):
    self.mood = convert(mood, Mood)
    self.words = words
    self.attack = attack


@external
def send(msg_: MsgSendPacket) -> uint64:
    return extcall Host(HOST).sendPacket(msg_)


@external
@raw_return
def onRecvPacket(msg_: OnRecvPacketCallback) -> Bytes[16384]:
    self._act()
    return self.words


@external
def onAcknowledgementPacket(msg_: OnAcknowledgementPacketCallback):
    self._act()


@external
def onTimeoutPacket(msg_: OnTimeoutPacketCallback):
    self._act()


@internal
def _act():
    self.calls += 1
    if self.mood == Mood.REVERT:
        raw_revert(self.words)
    if self.mood == Mood.GUZZLE:
        for i: uint256 in range(2**64):
            self.attack = concat(convert(i, bytes32), b"")
    if self.mood == Mood.REENTER:
        if raw_call(HOST, self.attack, revert_on_failure=False):
            self.entered += 1
