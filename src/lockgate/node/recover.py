"""Brings back clients that expired while nobody updated them, as when a laptop slept (I18, P16).

It is the authority's announced action, in the open: a new client of the far ledger is made, the recovery
is announced on the ledger, and after the delay that its rules fix the old client continues from the new
one's state. Only for ledgers whose authority key lies in this data folder, which `lockgate up` made; it
signs the action, and the operator's account beside it submits that. What was done is written to
`logs/authority.log`. The hosts of the folder get new fingerprints to start from, since theirs are as old
as the clients.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from lockgate.courier.ports import Submitted
from lockgate.crypto.keys import IdentityKey, IdentitySigner
from lockgate.hosting.config import HostConfig, LedgerRef
from lockgate.machine import keys
from lockgate.machine.authority import authorize
from lockgate.machine.succession import Authorities
from lockgate.node.clock import SystemClock
from lockgate.node.cometbft import address_now
from lockgate.node.config import change as change_config
from lockgate.node.folder import Folder, writing
from lockgate.node.ledger import authority_indices, authority_signer, ledger_keys, operator
from lockgate.node.patience import reached
from lockgate.node.provision import OPERATOR_LANE, LedgerAccess, SetupFailed, create_client, lanes_of
from lockgate.primitives.errors import Refused
from lockgate.primitives.ids import ClientId
from lockgate.primitives.time import UnixSeconds, floor_seconds
from lockgate.relay.kinds import follows_headers
from lockgate.relay.rpc import BadAnswer, b64, counted
from lockgate.relay.submitter import VALID_FOR_S

EXPIRED: Final = "Expired"
Say = Callable[[str], None]


class NothingExpired(Refused):
    code = "node.nothing_expired"
    summary = "No client of this deployment's lanes has expired."
    next_step = "Nothing to recover: go on using the lanes."


class NotTheAuthority(Refused):
    code = "node.not_the_authority"
    summary = "The ledger's authority key is not in this data folder."
    next_step = "Ask the ledger's authority to announce `client.recover`."


class NotRecovered(Refused):
    code = "node.not_recovered"
    summary = "The announced recovery came due and was not carried out."
    next_step = "Read the code in the error with `lockgate explain`, then try again."


@dataclass(frozen=True, slots=True)
class ExpiredClient:
    """A client of `of` on ledger `on`, which takes no update any more."""

    on: str
    client: ClientId
    of: str

    def sentence(self) -> str:
        return f"the client {self.client} on {self.on}, which follows {self.of}, has expired"


async def expired(accesses: Mapping[str, LedgerAccess]) -> list[ExpiredClient]:
    """Clients under the lanes between these ledgers that have expired."""
    names = {access.genesis.domain_id: name for name, access in accesses.items()}
    found = []
    for name, access in accesses.items():
        for lane in await lanes_of(access.chain):
            client, far = ClientId(lane.local_client), names.get(lane.remote_domain)
            if far is not None and follows_headers(client) and (await access.chain.client(client)).status == EXPIRED:
                found.append(ExpiredClient(name, client, far))
    return found


@dataclass(frozen=True, slots=True)
class Authority:
    """A running ledger whose authority's keys are here. Its actions are signed one at a time: each has a number."""

    access: LedgerAccess
    signer: IdentitySigner
    index: int  # of the rotation that its key is from
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @classmethod
    async def of(cls, folder: Folder, access: LedgerAccess) -> Authority:
        """The authority that stands now and whose keys are here. Raises NotTheAuthority."""
        stands = [key for key, _ in await authorities(access)]
        keys = ledger_keys(folder, access.name)
        try:
            for index in reversed(authority_indices(keys)):  # those that were replaced lie there, too
                signer = authority_signer(keys, index)
                if signer.key in stands:
                    return cls(access, signer, index)
        finally:
            keys.close()
        raise NotTheAuthority("not a ledger of this folder's, or another has followed it", ledger=access.name)

    async def announce(self, action: str, arguments: Mapping[str, Any]) -> Submitted:
        """Announce an action, which takes the delay that the rules fix. Raises SetupFailed."""
        return await self.act("gov.announce", {"action": action, "arguments": dict(arguments)})

    async def act(self, name: str, fields: Mapping[str, Any]) -> Submitted:
        """Sign a message and submit it from the operator's account. Raises SetupFailed."""
        async with self.turn:
            chain, genesis = self.access.chain, self.access.genesis
            place = keys.authority(self.signer.key.hash)
            answer = await chain.query(f"/store/{keys.GOVERNANCE}/key", place)
            number = int.from_bytes(b64(answer.get("value")), "big")
            until = UnixSeconds(floor_seconds((await chain.tip()).time) + VALID_FOR_S)
            signed = authorize(self.signer, genesis.domain_id, genesis.revision, (name, fields), number, until)
            return await self.access.do(signed)


def due_of(done: Submitted) -> int:
    """The height at which an announced action takes effect. Raises SetupFailed where the node does not say it."""
    due = next((event.get("due") or "" for event in done.events if event.type == "gov_announced"), "")
    try:
        return counted(due)
    except BadAnswer as error:
        raise SetupFailed("announced, and the node does not say when that is due", at=done.height.height) from error


async def authorities(access: LedgerAccess) -> list[tuple[IdentityKey, bytes]]:
    """Who a ledger's node says stands, each with its commitment to the next key. Who is misled signs for nothing."""
    answer = await access.chain.query(f"/store/{keys.GOVERNANCE}/key", keys.AUTHORITIES)
    data = b64(answer.get("value"))
    if not data:
        return [(key, b"") for key in access.genesis.authority]
    members = Authorities.from_bytes(data).members
    return [(IdentityKey(suite, tuple(parts)), bytes(following)) for suite, parts, following in members]


@asynccontextmanager
async def operators(folder: Folder, names: Sequence[str]) -> AsyncIterator[dict[str, LedgerAccess]]:
    """The running ledgers, each with its operator's account. Raises OlderLedger, NotRunning."""
    accesses: dict[str, LedgerAccess] = {}
    try:
        for name in names:
            ledger_keys(folder, name).close()  # makes them where there are none, and says what is older
            wallet = operator(folder, name)
            address = partial(address_now, folder, name)
            accesses[name] = await LedgerAccess.connect(name, address, wallet, OPERATOR_LANE)
        yield accesses
    finally:
        await asyncio.gather(*(access.chain.rpc.close() for access in accesses.values()))


async def recover(folder: Folder, say: Say) -> list[ExpiredClient]:
    """Recover every expired client of the folder's ledgers; returns them.

    Raises NothingExpired, NotTheAuthority, NotRunning, SetupFailed, NotRecovered.
    """
    async with operators(folder, folder.names("ledgers")) as accesses:
        standing = {name: await Authority.of(folder, access) for name, access in accesses.items()}
        found = await expired(accesses)
        if not found:
            raise NothingExpired("all are active", folder=str(folder.root))
        for each in found:
            say(each.sentence())
        # First, since a waiting `up` starts the hosts as soon as the clients are active.
        await _new_fingerprints(folder, accesses)
        work = (_recover(folder, standing[each.on], accesses[each.of], each, say) for each in found)
        for failure in await asyncio.gather(*work, return_exceptions=True):
            if failure is not None:
                raise failure  # when the others have ended, too
    return found


async def _recover(folder: Folder, by: Authority, of: LedgerAccess, each: ExpiredClient, say: Say) -> None:
    on = by.access
    substitute = await create_client(on, of)
    arguments = {"subject": each.client, "substitute": substitute}
    done = await by.announce("client.recover", arguments)
    due = due_of(done)
    _log(folder, {"action": "client.recover", "ledger": each.on, **arguments, "announced_at": done.height.height})
    say(f"announced on {each.on} at block {done.height.height}; it takes effect at block {due}")
    await reached(on.chain, due)
    status = (await on.chain.client(each.client)).status
    if status == EXPIRED:
        events = (await on.chain.block_events(due)).events
        code = next((event.get("code") for event in events if event.type == "gov_failed"), None)
        raise NotRecovered("still expired", ledger=each.on, client=each.client, cause=code)
    say(f"the client {each.client} on {each.on} is {status.lower()}")


async def _new_fingerprints(folder: Folder, accesses: Mapping[str, LedgerAccess]) -> None:
    refs = {name: await access.ref() for name, access in accesses.items()}
    for host in folder.names("hosts"):
        path = folder.host(host) / "endpoint.json"
        if path.exists():
            changed = change_config(path, partial(_with_fingerprints, refs))
            heights = {ref.name: ref.height for ref in (changed.local, *changed.remotes)}
            _log(folder, {"action": "fingerprints", "host": host, "heights": heights})


def _with_fingerprints(refs: Mapping[str, LedgerRef], config: HostConfig) -> HostConfig:
    local, *remotes = (_renewed(old, refs.get(old.name, old)) for old in (config.local, *config.remotes))
    return dataclasses.replace(config, local=local, remotes=tuple(remotes))


def _renewed(old: LedgerRef, new: LedgerRef) -> LedgerRef:
    """Another fingerprint; the nodes, and the rules that were accepted: accepting others is the operator's (P16)."""
    return dataclasses.replace(new, rules=old.rules, sources=old.sources, required=old.required)


def _log(folder: Folder, entry: dict[str, Any]) -> None:
    path = folder.root / "logs" / "authority.log"
    with writing(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(json.dumps({"time_ns": SystemClock().now(), **entry}) + "\n")


__all__ = (
    "Authority",
    "ExpiredClient",
    "NotRecovered",
    "NotTheAuthority",
    "NothingExpired",
    "expired",
    "operators",
    "recover",
)
