# pragma version 0.4.3
# pragma evm-version cancun
"""
@title  Ports, and the applications behind them
@notice A port is its application's address, so that it is nobody's to take. A body reaches only the contract that its
        port names, and only the three methods an application has. Nothing an application does holds up the others.
"""

from modules import ibc

MAX_CALL: constant(uint256) = 1924       # bytes of a call with the longest packet
MAX_TOLD: constant(uint256) = 2500       # and the longest acknowledgement
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
    port: String[42]
    app: address
    gas_max: uint256


ports: HashMap[bytes32, uint256]  # by keccak256 of the port: app | gas of each of its calls << 160


@external
def bindPort(gas_max: uint256) -> String[42]:
    """
    @notice Become an application, once. `gas_max` is what each of its three calls needs at most: it gets no more, and
            a relayer that brings less is refused, so that he cannot make it fail.
    @return Its port: the sender's address in small hexadecimal digits, as solidity-ibc's router has it.
    """
    assert gas_max != 0 and gas_max <= MAX_APP_GAS, "port.invalid"
    port: String[42] = self._port_of(convert(msg.sender, uint256))
    key: bytes32 = keccak256(port)
    assert self.ports[key] == 0, "port.taken"
    self.ports[key] = convert(msg.sender, uint256) | (gas_max << 160)
    log PortBound(port=port, app=msg.sender, gas_max=gas_max)
    return port


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
def check_sender(port: bytes32):
    """
    @notice Refuse whoever is not the application of a port (keccak256).
    """
    bound: uint256 = self.ports[port]
    assert bound != 0 and msg.sender == self._address(bound), "port.sender"


@internal
def received(source: String[64], dest: String[64], item: ibc.Item, port: bytes32) -> Bytes[ibc.MAX_ANSWER]:
    """
    @notice Ask the application of a port (keccak256). Whatever goes wrong in it is its refusal (an empty answer), and
            undone with it; only a relayer's lack of gas is not, since that is not the application's word.
    """
    bound: uint256 = self.ports[port]
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
                    sourceClient=source,
                    destinationClient=dest,
                    sequence=item.sequence,
                    payload=item.payload,
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
def acknowledged(source: String[64], dest: String[64], item: ibc.Item, answer: Bytes[ibc.MAX_ANSWER]) -> bool:
    """
    @notice Tell the sender its answer. False if it reverted.
    """
    return self._tell(
        item,
        abi_encode(
            OnAcknowledgementPacketCallback(
                sourceClient=source,
                destinationClient=dest,
                sequence=item.sequence,
                payload=item.payload,
                acknowledgement=answer,
                relayer=msg.sender,
            ),
            method_id=method_id(
                "onAcknowledgementPacket((string,string,uint64,(string,string,string,string,bytes),bytes,address))"
            ),
        ),
    )


@internal
def timed_out(source: String[64], dest: String[64], item: ibc.Item) -> bool:
    """
    @notice Tell the sender that its packet ended without an answer. False if it reverted.
    """
    return self._tell(
        item,
        abi_encode(
            OnPacketCallback(
                sourceClient=source,
                destinationClient=dest,
                sequence=item.sequence,
                payload=item.payload,
                relayer=msg.sender,
            ),
            method_id=method_id(
                "onTimeoutPacket((string,string,uint64,(string,string,string,string,bytes),address))"
            ),
        ),
    )


@internal
def _tell(item: ibc.Item, message: Bytes[MAX_TOLD]) -> bool:
    bound: uint256 = self.ports[keccak256(item.payload.sourcePort)]
    return raw_call(self._address(bound), message, gas=self._gas(bound), revert_on_failure=False)


@internal
@pure
def _port_of(app: uint256) -> String[42]:
    """
    @return `0x` and forty digits: those of the upper and of the lower ten bytes, side by side.
    """
    upper: uint256 = 0
    lower: uint256 = 0
    for i: uint256 in range(20):
        upper |= self._digit((app >> (80 + 4 * i)) & 15) << (8 * i)
        lower |= self._digit((app >> (4 * i)) & 15) << (8 * i)
    return convert(
        concat(b"0x", slice(convert(upper << 96, bytes32), 0, 20), slice(convert(lower << 96, bytes32), 0, 20)),
        String[42],
    )


@internal
@pure
def _digit(nibble: uint256) -> uint256:
    return nibble + 48 if nibble < 10 else nibble + 87


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
