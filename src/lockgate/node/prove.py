"""Building an offline bundle for any packet, live or past, from the ledgers' public data."""

from __future__ import annotations

import asyncio
from typing import Final

from lockgate.hosting.config import LedgerRef
from lockgate.lightclients.cometbft.bisection import BisectionPlan
from lockgate.lightclients.cometbft.hashing import header_hash
from lockgate.lightclients.cometbft.types import LightBlock
from lockgate.lightclients.cometbft.verification import TrustOptions
from lockgate.node.bundle import CONTENTS, Bundle, Item, Kind, Name, Section, Side
from lockgate.node.config import load as load_config
from lockgate.node.findings import FOREVER, location, verify
from lockgate.node.folder import Folder
from lockgate.node.ledgers import Ledger, LedgerDown
from lockgate.node.story import State
from lockgate.node.trace import Life
from lockgate.primitives.errors import LockgateError, Refused
from lockgate.primitives.ids import Height
from lockgate.primitives.time import floor_seconds
from lockgate.relay.rpc import RpcError

WAIT_S: Final = 10.0  # for the header that carries the newest state: it is due at once


class NotProvable(Refused):
    code = "bundle.not_provable"
    summary = "The ledger's node no longer has the state in which this could be proven."
    next_step = "Name a node that keeps old states with --rpc."


def kind_of(life: Life) -> Kind:
    """The strongest thing that can be proven of a packet now."""
    if life.state is State.TIMED_OUT:
        return Kind.TIMED_OUT
    if life.answer is not None:
        return Kind.REFUSED if life.refusal else Kind.ACKNOWLEDGED
    return Kind.SENT if life.received is None else Kind.RECEIVED


async def build(life: Life, folder: Folder | None = None, start: int = 0) -> bytes:
    """Prove what became of a packet; what does not verify is not handed out.

    The header chain starts at the fingerprint that a host of `folder` has pinned, at height `start` where one is
    given, else at the first header the node has (P11). Raises NotProvable, LedgerDown.
    """
    kind = kind_of(life)
    sections = [await _section(life, kind, side, names, folder, start) for side, names in CONTENTS[kind]]
    acknowledgement = life.acknowledgement if kind in {Kind.ACKNOWLEDGED, Kind.REFUSED} else b""
    packet = bytes.fromhex(life.sent.event.get("encoded_packet_hex") or "")
    data = Bundle(kind, packet, acknowledgement, tuple(sections)).to_bytes()
    verify(data)
    return data


async def fingerprint(ledger: Ledger, folder: Folder | None) -> LedgerRef:
    """Where trust in a ledger starts here: what a host has pinned, else the first header the node has."""
    for name in folder.names("hosts") if folder is not None else ():
        assert folder is not None
        path = folder.host(name) / "endpoint.json"
        if path.exists():
            config = load_config(path)
            for ref in (config.local, *config.remotes):
                if ref.domain == ledger.domain.hex():
                    return ref
    first = await ledger.chain.earliest()
    digest = header_hash((await ledger.chain.signed_header(first)).header)
    return LedgerRef(ledger.name, ledger.chain.chain_id, ledger.domain.hex(), first, digest.hex())


async def _section(
    life: Life, kind: Kind, side: Side, names: tuple[Name, ...], folder: Folder | None, start: int
) -> Section:
    ledger = life.source if side is Side.SOURCE else life.there
    if ledger is None:
        raise LedgerDown("the receiver's ledger does not answer", domain=life.lane.remote_domain)
    trusted = start or (await fingerprint(ledger, folder)).height
    failure: LockgateError | None = None
    for at in await _heights(life, kind, side, ledger, trusted):
        try:
            items = await asyncio.gather(*(_item(life, side, ledger, name, at) for name in names))
        except RpcError as error:
            failure = error
            continue
        headers = await _headers(ledger, min(trusted, at), at)
        return Section(headers, dict(zip(names, items, strict=True)))
    raise NotProvable("no state of it is left", ledger=ledger.name, packet=life.packet.sequence) from failure


async def _heights(life: Life, kind: Kind, side: Side, ledger: Ledger, trusted: int) -> list[int]:
    """Headers to try: the one that carries the event, then the newest."""
    newest = (await ledger.chain.tip()).height.height
    if kind is Kind.TIMED_OUT and side is Side.DESTINATION:
        return [max(await _first_past(ledger, life.packet.timeout, newest), trusted)]
    event = life.sent if side is Side.SOURCE else life.received if kind is Kind.RECEIVED else life.answer
    assert event is not None, "the kind was chosen from what happened"
    carrier = event.height.height + 1
    await ledger.chain.header_at_least(carrier, WAIT_S)
    return sorted({max(carrier, trusted), max(newest, trusted)})


async def _first_past(ledger: Ledger, timeout: int, newest: int) -> int:
    """The first header at or past a timeout. A later one may be past its pruning too, and prove nothing (I15)."""

    async def past(height: int) -> bool:
        return floor_seconds((await ledger.chain.signed_header(height)).header.time) >= timeout

    if not await past(newest):
        raise NotProvable("the ledger shows no header past the timeout", ledger=ledger.name)
    low, high = await ledger.chain.earliest(), newest
    while low < high:
        middle = (low + high) // 2
        if await past(middle):
            high = middle
        else:
            low = middle + 1
    return high


async def _item(life: Life, side: Side, ledger: Ledger, name: Name, at: int) -> Item:
    store, key = location(name, side, life.packet, life.lane.lane_id)
    proven = await ledger.chain.prove(store, key, Height(ledger.chain.revision, at))
    return Item(proven.value or b"", proven.proof)


async def _headers(ledger: Ledger, trusted: int, target: int) -> tuple[LightBlock, ...]:
    """The trusted header and those that lead from it to the target."""
    first = await ledger.chain.light_block(trusted)
    if trusted == target:
        return (first,)
    plan = BisectionPlan.to(target, first, TrustOptions(trusting_period=FOREVER))
    while plan.wanted is not None:
        block = await ledger.chain.light_block(plan.wanted)
        plan = plan.feed(block, block.header.time)
    if plan.failure is not None:
        raise plan.failure
    return (first, *plan.verified)


__all__ = ("NotProvable", "build", "fingerprint", "kind_of")
