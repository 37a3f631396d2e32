# pragma version 0.4.3
# pragma evm-version cancun
"""
@title  Ports, and the applications behind them
@notice A body reaches only the contract that bound its port, and only the three methods an application has. Nothing an
        application does holds up a packet that is received.
"""

from modules import ibc

MAX_CALL: constant(uint256) = 1860       # bytes of a call with the longest packet
MAX_RETURNED: constant(uint256) = 576    # bytes of the longest acknowledgement as an application returns it
MAX_APP_GAS: constant(uint256) = 5_000_000  # an application's receive must fit a block beside its packet


# What an application is told of a packet that arrived, or that timed out: one form under two names
struct OnPacketCallback:
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

event PortBound:
    port: String[64]
    app: address
    gas_max: uint256


ports: HashMap[bytes32, uint256]  # by keccak256 of the port: app | gas of each of its calls << 160


@external
def bindPort(port: String[64], gas_max: uint256):
    """
    @notice Become the application of a port; first come, first served. `gas_max` is what each of its three calls needs
            at most: it gets no more, and a relayer that brings less is refused, so that he cannot make it fail.
    """
    assert len(port) >= 2 and gas_max != 0 and gas_max <= MAX_APP_GAS, "port.invalid"
    key: bytes32 = keccak256(port)
    assert self.ports[key] == 0, "port.taken"
    self.ports[key] = convert(msg.sender, uint256) | (gas_max << 160)
    log PortBound(port=port, app=msg.sender, gas_max=gas_max)


@external
@raw_return
def deliver(app: address, gas_max: uint256, message: Bytes[MAX_CALL]) -> Bytes[MAX_RETURNED]:
    """
    @notice For the host alone. A frame of its own undoes whatever an application did when its answer is none: who
            sent a packet that was refused takes back what went with it.
    """
    assert msg.sender == self, "host.self"
    done: bool = False
    returned: Bytes[MAX_RETURNED] = b""
    done, returned = raw_call(app, message, max_outsize=MAX_RETURNED, gas=gas_max, revert_on_failure=False)
    # one value of type bytes, neither empty nor the sentinel, which is the host's own word
    assert done and len(returned) >= 96 and extract32(returned, 0, output_type=uint256) == 32
    size: uint256 = extract32(returned, 32, output_type=uint256)
    assert size != 0 and size <= unsafe_sub(len(returned), 64)
    assert size != 32 or extract32(returned, 64) != ibc.REFUSED
    return returned


@internal
@view
def app_of(port: String[64]) -> address:
    app: address = self._address(self.ports[keccak256(port)])
    assert app != empty(address), "port.unknown"
    return app


@internal
def received(packet: ibc.Packet) -> Bytes[ibc.MAX_ANSWER]:
    """
    @notice Ask the application. Whatever goes wrong in it is its refusal (an empty answer), and undone with it;
            only a relayer's lack of gas is not, since that is not the application's word.
    """
    bound: uint256 = self.ports[keccak256(packet.payloads[0].destPort)]
    if bound == 0:
        return b""
    done: bool = False
    returned: Bytes[MAX_RETURNED] = b""
    done, returned = raw_call(
        self,
        abi_encode(
            self._address(bound),
            self._gas(bound),
            abi_encode(
                OnPacketCallback(
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
            method_id=method_id("deliver(address,uint256,bytes)"),
        ),
        max_outsize=MAX_RETURNED,
        revert_on_failure=False,
    )
    if not done:
        return b""
    return abi_decode(returned, Bytes[ibc.MAX_ANSWER])


@internal
def acknowledged(packet: ibc.Packet, answer: Bytes[ibc.MAX_ANSWER]) -> bool:
    """
    @notice Tell the sender its answer. False if it reverted.
    """
    bound: uint256 = self.ports[keccak256(packet.payloads[0].sourcePort)]
    return raw_call(
        self._address(bound),
        abi_encode(
            OnAcknowledgementPacketCallback(
                sourceClient=packet.sourceClient,
                destinationClient=packet.destClient,
                sequence=packet.sequence,
                payload=packet.payloads[0],
                acknowledgement=answer,
                relayer=msg.sender,
            ),
            method_id=method_id(
                "onAcknowledgementPacket((string,string,uint64,(string,string,string,string,bytes),bytes,address))"
            ),
        ),
        gas=self._gas(bound),
        revert_on_failure=False,
    )


@internal
def timed_out(packet: ibc.Packet) -> bool:
    """
    @notice Tell the sender that its packet ended without an answer. False if it reverted.
    """
    bound: uint256 = self.ports[keccak256(packet.payloads[0].sourcePort)]
    return raw_call(
        self._address(bound),
        abi_encode(
            OnPacketCallback(
                sourceClient=packet.sourceClient,
                destinationClient=packet.destClient,
                sequence=packet.sequence,
                payload=packet.payloads[0],
                relayer=msg.sender,
            ),
            method_id=method_id(
                "onTimeoutPacket((string,string,uint64,(string,string,string,string,bytes),address))"
            ),
        ),
        gas=self._gas(bound),
        revert_on_failure=False,
    )


@internal
@pure
def _address(bound: uint256) -> address:
    return convert(bound & (2**160 - 1), address)


@internal
@view
def _gas(bound: uint256) -> uint256:
    """
    @return What the application gets. Each of two calls down keeps a 64th back (EIP-150); 60,000 more pay for the
            acknowledgement and its log.
    """
    gas_max: uint256 = bound >> 160
    assert msg.gas > gas_max + gas_max // 31 + 60_000, "relayer.gas"
    return gas_max
