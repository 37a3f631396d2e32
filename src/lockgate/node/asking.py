"""Sends a plain packet from an application of a ledger to one of another chain, as the ledger's operator."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from lockgate.codec import type_urls as urls
from lockgate.ibc import events as ibc_events
from lockgate.ibc import wire
from lockgate.ibc.packet import Payload
from lockgate.node.folder import Folder
from lockgate.node.foreign.records import lane_of
from lockgate.node.recover import operators
from lockgate.primitives.errors import Unavailable
from lockgate.primitives.ids import ClientId
from lockgate.primitives.time import NANOS_PER_SECOND, UnixSeconds
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.rpc import BadAnswer

ECHO: Final = "echo"  # on ledgers and on chains whose applications have names
VERSION: Final = "echo-1"
ENCODING: Final = "application/octet-stream"
POLL_S: Final = 0.5


class NoEnd(Unavailable):
    code = "node.no_end"
    summary = "The packet was sent, and has not ended in the time that was waited for."
    untouched = "It goes on: it is answered, or times out."
    next_step = "See with `lockgate relay status NAME` who must act."


async def ask(
    folder: Folder, ledger: str, client: str, ports: tuple[str, str], body: bytes, timeout_s: int, wait_s: float
) -> dict[str, Any]:
    """Send, and wait for its end where `wait_s` is not zero. `ports` are the source's and the destination's; for an
    empty one of the destination's, the example application at the lane's other end is meant.

    Raises SetupFailed with the ledger's words, NoEnd.
    """
    async with operators(folder, [ledger]) as accesses:
        access = accesses[ledger]
        now = max((await access.chain.tip()).time // NANOS_PER_SECOND, int(time.time()))
        payload = Payload(ports[0], ports[1] or application_there(folder, ledger, client), VERSION, ENCODING, body)
        message = wire.SendMessage(ClientId(client), UnixSeconds(now + timeout_s), (payload,), access.submitter.signer)
        done = await access.do((urls.MSG_SEND_PACKET, wire.encode_send(message)))
        sent = next((event for event in done.events if event.type == ibc_events.SEND_PACKET), None)
        if sent is None:
            raise BadAnswer("the node shows no packet of the transaction", ledger=ledger, height=done.height)
        sequence = int(sent.get(ibc_events.SEQUENCE) or 0)
        shown: dict[str, Any] = {"ledger": ledger, "client": client, "sequence": sequence, "height": str(done.height)}
        return shown if not wait_s else {**shown, "ended": await _end(access.chain, ClientId(client), sequence, wait_s)}


def application_there(folder: Folder, ledger: str, client: str) -> str:
    """The port of the example application at the other end of a lane, as it was recorded when that was opened."""
    lanes = [lane_of(folder, chain) for chain in folder.names("chains")]
    ours = [lane for lane in lanes if (lane.get("ledger"), lane.get("client")) == (ledger, client)]
    return next((str(lane["echo"]) for lane in ours if "echo" in lane), ECHO)


async def _end(chain: CometBftChain, client: ClientId, sequence: int, wait_s: float) -> str:
    try:
        async with asyncio.timeout(wait_s):
            while sequence in await chain.still_open(client, {sequence}):
                await asyncio.sleep(POLL_S)
            while True:
                for kind, ended in (
                    (ibc_events.ACKNOWLEDGE_PACKET, "acknowledged"),
                    (ibc_events.TIMEOUT_PACKET, "timed out"),
                ):
                    found = await chain.find_events(kind, ibc_events.SOURCE_CLIENT, client, {sequence}, lambda _: True)
                    if found:
                        return ended
                await asyncio.sleep(POLL_S)
    except TimeoutError as error:
        raise NoEnd(client=client, sequence=sequence, waited_s=wait_s) from error


__all__ = ("NoEnd", "application_there", "ask")
