# pragma version 0.4.3
# pragma evm-version cancun
"""
@title  Ports, and the applications behind them
@notice A body reaches only the contract that bound its port, and only the three methods an application has. Nothing an
        application does holds up a packet that is received.
"""

from modules import ibc

MAX_APP_GAS: constant(uint256) = 5_000_000  # an application's receive must fit a block beside its packet


struct OnRecvPacketCallback:
    sourceClient: String[64]
    destinationClient: String[64]
    sequence: uint64
    payload: ibc.Payload
    relayer: address

struct OnAcknowledgementPacketCallback:
    sourceClient: String[64]
    destinationClient: String[64]
    sequence: uint64
    payload: ibc.Payload
    acknowledgement: Bytes[ibc.MAX_ANSWER]
    relayer: address

struct OnTimeoutPacketCallback:
    sourceClient: String[64]
    destinationClient: String[64]
    sequence: uint64
    payload: ibc.Payload
    relayer: address

interface App:
    def onAcknowledgementPacket(msg_: OnAcknowledgementPacketCallback): nonpayable
    def onTimeoutPacket(msg_: OnTimeoutPacketCallback): nonpayable

event PortBound:
    port: String[64]
    app: address
    gas_max: uint256


ports: HashMap[bytes32, uint256]  # by keccak256 of the port: app | gas of its receive << 160


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


@internal
@view
def app_of(port: String[64]) -> address:
    app: address = convert(self.ports[keccak256(port)] & (2**160 - 1), address)
    assert app != empty(address), "port.unknown"
    return app


@internal
def received(packet: ibc.Packet) -> Bytes[ibc.MAX_ANSWER]:
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
    answer: Bytes[ibc.MAX_ANSWER + 64] = b""
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
        max_outsize=ibc.MAX_ANSWER + 64,
        gas=gas_max,
        revert_on_failure=False,
    )
    # one value of type bytes, in canonical form: decoding what is not would revert the whole batch
    if not done or len(answer) < 96 or extract32(answer, 0, output_type=uint256) != 32:
        return b""
    size: uint256 = extract32(answer, 32, output_type=uint256)
    if size == 0 or size > len(answer) - 64:
        return b""
    return abi_decode(answer, Bytes[ibc.MAX_ANSWER])


@internal
def acknowledged(packet: ibc.Packet, answer: Bytes[ibc.MAX_ANSWER]):
    app: address = self.app_of(packet.payloads[0].sourcePort)
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


@internal
def timed_out(packet: ibc.Packet):
    app: address = self.app_of(packet.payloads[0].sourcePort)
    extcall App(app).onTimeoutPacket(
        OnTimeoutPacketCallback(
            sourceClient=packet.sourceClient,
            destinationClient=packet.destClient,
            sequence=packet.sequence,
            payload=packet.payloads[0],
            relayer=msg.sender,
        )
    )
