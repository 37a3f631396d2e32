"""What the guardian of a lane to an EVM says to the contract: it pauses, announces, enacts, admits.

The guardian is the account that opened the lane, which is the relayer's. A command says it at once where no relayer
runs; else it writes the word to `chains/NAME/words/` and the running relayer, which has the account, says it in a
moment and writes there what became of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from lockgate.crypto.recoverable import EvmKey
from lockgate.hosting.work import Report
from lockgate.node.folder import Folder, NotInitialised, read_json, write_json
from lockgate.node.foreign.evm import host_of, open_chain, open_nodes, opened
from lockgate.node.foreign.keys import account_scalar
from lockgate.node.foreign.records import AccountInUse, NoLaneThere, lane_of
from lockgate.node.foreign.spec import EvmSpec
from lockgate.primitives.errors import LockgateError, Refused, Unavailable
from lockgate.primitives.ids import ClientId
from lockgate.relay.chains.evm.account import EvmAccount
from lockgate.relay.chains.evm.answers import hexed
from lockgate.relay.chains.evm.rules import ADMIT, ANNOUNCE, ENACT, PAUSE, LaneRules, Said, lawful_from, rules_of

FOLDER: Final = "words"
PAUSE_S: Final = 1.0
WAIT_S: Final = 120.0  # for the running relayer
KEPT_S: Final = 3_600.0  # what became of a word
Row = dict[str, Any]


class NotGuardian(Refused):
    code = "evm.not_guardian"
    summary = "The folder's account is not the guardian of the lane, whose word alone the contract takes."
    untouched = "Nothing was signed and nothing was paid."
    next_step = "Say it from the data folder that opened the lane: `lockgate evm status` shows guardian and account."


class LaneStandsStill(Refused):
    code = "evm.lane_stands_still"
    summary = "The lane is paused, and new limits would resume it when they are enacted."
    untouched = "Nothing was signed and nothing was paid."
    next_step = "Say that it is to go on: `lockgate evm resume CHAIN`, with the limits it is to have."


class NotSaidYet(Unavailable):
    code = "evm.not_said_yet"
    summary = "The running relayer has not told yet what became of a guardian's word."
    untouched = "The word waits in the folder, and is said when the relayer comes to it."
    next_step = "Look at `lockgate evm status` and `lockgate relay status`; to say it now, stop the relayer and repeat."


async def pause(folder: Folder, spec: EvmSpec, report: Report) -> Row:
    """Stop everything on the lane, at once."""
    return await _say(folder, spec, lambda _: Said(PAUSE), report)


async def resume(folder: Folder, spec: EvmSpec, limits: Row, report: Report) -> Row:
    """Announce that the lane goes on, under limits where some are named; what is not named stays."""
    return await _say(folder, spec, lambda now: _announced(now, limits), report)


async def limit(folder: Folder, spec: EvmSpec, limits: Row, report: Report) -> Row:
    """Announce new limits of a lane that goes. Raises LaneStandsStill beside what the others do."""

    def made(now: LaneRules) -> Said:
        if now.paused:
            raise LaneStandsStill(chain=spec.name)
        return _announced(now, limits)

    return await _say(folder, spec, made, report)


async def enact(folder: Folder, spec: EvmSpec, report: Report) -> Row:
    """Put into force what was announced long enough ago."""
    return await _say(folder, spec, lambda _: Said(ENACT), report)


async def admit(folder: Folder, spec: EvmSpec, port: str, report: Report, *, admitted: bool = True) -> Row:
    """Give a port limits of its own, or take them away. Its address may be written in either case."""
    return await _say(folder, spec, lambda _: Said(ADMIT, (port.lower(), admitted)), report)


def _announced(now: LaneRules, limits: Row) -> Said:
    kept = {name: value for name, value in asdict(now).items() if name in {"out_max", "in_max", "window_s"}}
    kept |= {name: value for name, value in limits.items() if value is not None}
    return Said(ANNOUNCE, (kept["out_max"], kept["in_max"], kept["window_s"]))


async def _say(folder: Folder, spec: EvmSpec, made: Callable[[LaneRules], Said], report: Report) -> Row:
    """Raises NotGuardian, NoLaneThere, NotSaidYet, BadRule, Reverted, and why it cannot be done."""
    lane, host = lane_of(folder, spec.name), host_of(folder, spec)
    if not lane.get("far_client"):
        raise NoLaneThere(chain=spec.name)
    client = ClientId(lane["far_client"])
    node = open_nodes(spec, report)
    try:
        now = await rules_of(open_chain(node, spec, host, report), client)
    finally:
        await node.close()
    own = EvmKey(account_scalar(folder, spec)).address
    if now.guardian != own:
        raise NotGuardian(guardian=hexed(now.guardian), account=hexed(own))
    said = made(now)
    shown = {"chain": spec.name, "client": client, "said": said.function}
    try:
        async with opened(folder, spec, host, report) as account:
            return {**shown, **await _done(account, host, client, said), "by": "this command"}
    except AccountInUse:
        return {**shown, **await _through(folder.chain(spec.name) / FOLDER, said), "by": "the running relayer"}


async def _done(account: EvmAccount, host: bytes, client: ClientId, said: Said) -> Row:
    receipt = await account.execute(host, said.call(client))
    return {"block": receipt.block, "lawful_from": lawful_from(receipt, host)}


async def _through(words: Path, said: Said) -> Row:
    """Leave a word to the running relayer, and wait for what becomes of it."""
    path = words / f"{time.time_ns():020d}.json"
    write_json(path, said.to_json())
    done, deadline = path.with_suffix(".done"), time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        await asyncio.sleep(PAUSE_S / 4)
        try:
            found = read_json(done)
        except NotInitialised:
            continue
        done.unlink()
        if "refused" in found:
            raise SaidAndRefused(str(found["refused"])[:300])
        return found
    raise NotSaidYet(file=str(path))


class SaidAndRefused(Refused):
    code = "evm.word_refused"
    summary = "The running relayer could not have a guardian's word taken."
    untouched = "The lane's rules are as they were."
    next_step = "Read the contract's word; docs/spec/evm.md says what each means."


def saying(
    folder: Folder, spec: EvmSpec, account: EvmAccount, client: ClientId, report: Report
) -> Callable[[], Awaitable[None]]:
    """A step beside the relaying: says what commands have left, in their order."""
    words = folder.chain(spec.name) / FOLDER

    async def step() -> None:
        await asyncio.sleep(PAUSE_S)
        for path in sorted(words.glob("*.json")):
            done: Row
            try:
                said = Said.read(read_json(path))
            except LockgateError as damage:
                done = {"refused": f"{damage.code}: {damage.detail}"}
            else:
                try:
                    done = await _done(account, account.chain.host, client, said)
                except Unavailable:
                    raise  # it is said again
                except LockgateError as refusal:
                    done = {"refused": f"{refusal.code}: {refusal.detail}"}
            write_json(path.with_suffix(".done"), done)
            path.unlink()
            report("guardian", {"chain": account.chain.chain_id, "client": client, **done})
        for old in words.glob("*.done"):  # whose command did not wait
            with contextlib.suppress(FileNotFoundError):
                if time.time() - old.stat().st_mtime > KEPT_S:
                    old.unlink()

    return step


__all__ = (
    "LaneStandsStill",
    "NotGuardian",
    "NotSaidYet",
    "SaidAndRefused",
    "admit",
    "enact",
    "limit",
    "pause",
    "resume",
    "saying",
)
