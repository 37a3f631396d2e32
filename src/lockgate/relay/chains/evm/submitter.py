"""Submits packet messages to a host contract (I10).

An EVM transaction is one call, and the contract proves a batch with one proof, so a transaction of a courier's is one
call where its messages share a proof, else several, each with a nonce of its own. What is done already is found out
before anything is paid; what the contract refuses is simulated first, so that a refusal costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence, Set
from typing import Final

from lockgate.codec import type_urls as urls
from lockgate.courier.batches import Limits
from lockgate.courier.ports import Submitted
from lockgate.ibc import events as ibc_events
from lockgate.ibc import wire
from lockgate.ibc.packet import Packet
from lockgate.machine.transaction import Message
from lockgate.primitives.ids import Height
from lockgate.relay.chains.evm.account import EvmAccount
from lockgate.relay.chains.evm.answers import Receipt, hexed
from lockgate.relay.chains.evm.calls import MAX_BATCH, PacketCall, calls_of
from lockgate.relay.chains.evm.packets import SKIPPED_PACKET, events_of
from lockgate.relay.chains.evm.ports import Ports
from lockgate.relay.chains.evm.refusals import GasBeyondBound, Reverted

BATCH_BYTES: Final = 120_000  # of call data: nodes' pools take 128 KiB in one transaction
LOGICAL_GAS: Final = 1 << 62  # ours counts other work than a contract's: an estimate bounds that
REDUNDANT: Final = ("channel", 22)  # ibc-go's words, which couriers know
TOO_LATE: Final = ("channelv2", 9)
NOT_ACTIVE: Final = ("client", 29)
PACKETS_FAULT: Final = ("evm", 1)
LANES_FAULT: Final = ("evm", 2)
CODES: Final = {
    "packet.expired": TOO_LATE,
    "client.frozen": NOT_ACTIVE,
    "client.not_active": NOT_ACTIVE,
    "set.expired": NOT_ACTIVE,
    "lane.paused": LANES_FAULT,
    "attestation.epoch": LANES_FAULT,  # the set was rotated under the batch
}
ENDS: Final = {
    urls.MSG_RECV_PACKET: ibc_events.RECV_PACKET,
    urls.MSG_ACKNOWLEDGEMENT: ibc_events.ACKNOWLEDGE_PACKET,
    urls.MSG_TIMEOUT: ibc_events.TIMEOUT_PACKET,
}


class EvmSubmitter:
    """Meets `courier.ports.Submitter`. Siblings share the account: it has one sequence, and waits apart for each."""

    def __init__(self, account: EvmAccount, nonce_lane: int = 0) -> None:
        self.account = account
        self.chain = account.chain
        self.nonce_lane = nonce_lane
        self._ports = Ports(account.chain)

    @property
    def signer(self) -> str:
        return hexed(self.account.address)

    def sibling(self, nonce_lane: int) -> EvmSubmitter:
        return EvmSubmitter(self.account, nonce_lane)

    async def limits(self) -> Limits:
        return Limits(messages=MAX_BATCH + 2, bytes=BATCH_BYTES, gas=LOGICAL_GAS)

    async def submit(self, messages: Sequence[Message], /) -> Submitted:
        """Have messages done, and wait until each call is in a block.

        Raises FeeAboveCeiling, FundsMissing, NonceSpent, ChainUnavailable; a contract's refusal is a code of codespace
        `evm`, or the code that couriers know for it. Of several calls, others than the refused one may be done.
        """
        calls = calls_of(messages)
        open_ = [call for call in calls if await self._undone(call)]
        if not open_:
            return Submitted(REDUNDANT[1], REDUNDANT[0], "done already", await self._height(), (), ())
        done = await asyncio.gather(*(self._execute(call) for call in open_), return_exceptions=True)
        refusal = next((outcome for outcome in done if isinstance(outcome, BaseException)), None)
        if refusal is not None:
            code = _code_of(refusal)
            if code is None:
                raise refusal
            return Submitted(code[1], code[0], str(refusal), await self._height(), (), ())
        receipts = [outcome for outcome in done if isinstance(outcome, Receipt)]
        events = events_of([log for one in receipts for log in one.logs if log.address == self.chain.host])
        told = {(event.type, event.get(ibc_events.SEQUENCE)) for event in events}
        responses = (b"",) * sum(not call.packets for call in calls) + tuple(
            _response(told, ENDS[call.kind], str(packet.sequence)) for call in calls for packet in call.packets
        )
        return Submitted(0, "", "", Height(0, max(one.block for one in receipts)), responses, events)

    async def _execute(self, call: PacketCall) -> Receipt:
        to = await self.chain.client_address(call.client) if call.client else self.chain.host
        beside = await self._ports.gas_of([_port_of(call.kind, packet) for packet in call.packets])
        return await self.account.execute(to, call.data, beside, divisible=len(call.packets) > 1)

    async def _undone(self, call: PacketCall) -> bool:
        """Whether any packet of a call has something to do yet. A call is made whole: its proof is for all of it."""
        if not call.packets:
            return True
        sequences = {packet.sequence for packet in call.packets}
        if call.kind == urls.MSG_RECV_PACKET:
            return sequences > await self.chain.received(call.packets[0].destination_client, sequences)
        return bool(await self.chain.still_open(call.packets[0].source_client, sequences))

    async def _height(self) -> Height:
        return (await self.chain.heads())[1].height


def _port_of(kind: str, packet: Packet) -> str:
    """Whose application is called here."""
    payload = packet.payloads[0]
    return payload.destination_port if kind == urls.MSG_RECV_PACKET else payload.source_port


def _response(told: Set[tuple[str, str | None]], end: str, sequence: str) -> bytes:
    """What became of a packet, by the events of the calls that were made."""
    if (end, sequence) in told:
        return wire.SUCCESS
    return wire.FAILURE if (SKIPPED_PACKET, sequence) in told else wire.NOOP


def _code_of(refusal: BaseException) -> tuple[str, int] | None:
    """What a courier makes of a refusal; None for what is no word about these messages."""
    if isinstance(refusal, Reverted):
        return CODES.get(refusal.reason, PACKETS_FAULT)
    return PACKETS_FAULT if isinstance(refusal, GasBeyondBound) else None


__all__ = ("LANES_FAULT", "PACKETS_FAULT", "EvmSubmitter")
