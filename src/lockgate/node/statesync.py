"""A node of a cluster that has nothing, made ready to take the state from the others (P11).

Where trust starts is a header: the operator's own word, or what two of the other nodes of this folder's cluster say
alike, which are the operator's own. The node's light client goes from there; the application checks the state
against what that proves.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

from lockgate.node.cometbft import Node, configured
from lockgate.primitives.errors import LockgateError, Refused, Unavailable
from lockgate.relay.rpc import BadAnswer, Rpc

AGREE: Final = 2  # nodes whose word starts trust, and that the node's light client compares
TRUST: Final = re.compile(r"([1-9][0-9]{0,17}):([0-9A-Fa-f]{64})\Z")
TRUST_PERIOD: Final = "336h0m0s"  # as clients of ours trust a header: 14 days
DISCOVERY: Final = "5s"  # CometBFT's least
STUMBLES: Final = (LockgateError, LookupError, TypeError, ValueError)  # over a node that is away or answers nonsense
T = TypeVar("T")
NEVER: Final = (1 << 31) - 1  # the last round there is: no vote of that height comes after it


class NoState(Unavailable):
    code = "cometbft.no_state"
    summary = "Too few other nodes of the ledger answer, or they disagree, so there is no header to start from."
    untouched = "The node was not started."
    next_step = "Start two of the others first, or name a header you trust: `--trust HEIGHT:HASH`."


class BadTrustedHeader(Refused):
    code = "cometbft.trusted_header"
    summary = "A trusted header is HEIGHT:HASH, with a hash of 64 hexadecimal digits."
    untouched = "The node was not started."
    next_step = "Take both from somebody who runs a node: `lockgate ledger list` shows them."


async def prepare(node: Node, others: tuple[Node, ...], trust: str = "") -> tuple[int, str]:
    """Configure an empty node for state sync; returns the header that it starts from.

    Raises NoState, BadTrustedHeader.
    """
    given = TRUST.match(trust)
    if trust and given is None:
        raise BadTrustedHeader("not of that form", given=trust)
    heights = await _each(others, _height)
    if len(heights) < AGREE:
        raise NoState("other nodes that answer", answering=len(heights), needed=AGREE)
    # The next to highest: one node alone does not choose a height that others do not have.
    tip = sorted(heights.values())[-AGREE]
    height, digest = (int(given[1]), given[2].upper()) if given else (tip, await _hash_at(tuple(heights), tip))
    path = node.home / "config" / "config.toml"
    servers = ",".join(f"127.0.0.1:{other.rpc}" for other in heights)
    path.write_text(
        configured(
            path.read_text(),
            {
                ("statesync", "enable"): "true",
                ("statesync", "rpc_servers"): f'"{servers}"',
                ("statesync", "trust_height"): str(height),
                ("statesync", "trust_hash"): f'"{digest}"',
                ("statesync", "trust_period"): f'"{TRUST_PERIOD}"',
                ("statesync", "discovery_time"): f'"{DISCOVERY}"',
            },
        )
    )
    _guard_votes(node.home / "data" / "priv_validator_state.json", max(heights.values()) + 1)
    return height, digest


def play_blocks(node: Node) -> None:
    """Configure an empty node to play every block, whatever it was configured for before."""
    path = node.home / "config" / "config.toml"
    path.write_text(configured(path.read_text(), {("statesync", "enable"): "false"}))


def _guard_votes(path: Path, height: int) -> None:
    """A validator that lost what it remembers of its votes gives none up to a height that nobody has reached (P12)."""
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_text(json.dumps({"height": str(height), "round": NEVER, "step": 3}))
    path.chmod(0o600)


async def _hash_at(nodes: tuple[Node, ...], height: int) -> str:
    async def ask(node: Node) -> str:
        async with Rpc(node.address) as rpc:
            answer = await rpc.call("commit", height=str(height))
        return str(answer["signed_header"]["commit"]["block_id"]["hash"])

    said = Counter((await _each(nodes, ask)).values())
    agreed = [digest for digest, count in said.items() if count >= AGREE]
    if len(said) != 1 or not agreed:
        raise NoState("they do not show one header", height=height, headers=len(said))
    return agreed[0]


async def _height(node: Node) -> int:
    async with Rpc(node.address) as rpc:
        info = (await rpc.call("status"))["sync_info"]
    if info["catching_up"]:
        raise BadAnswer("it plays old blocks itself")
    return int(info["latest_block_height"])


async def _each(nodes: tuple[Node, ...], ask: Callable[[Node], Awaitable[T]]) -> dict[Node, T]:
    """The answers of those nodes that give one."""
    found: dict[Node, T] = {}
    for node, answer in zip(nodes, await asyncio.gather(*map(ask, nodes), return_exceptions=True), strict=True):
        if not isinstance(answer, BaseException):
            found[node] = answer
        elif not isinstance(answer, STUMBLES):
            raise answer
    return found


__all__ = ("AGREE", "BadTrustedHeader", "NoState", "play_blocks", "prepare")
