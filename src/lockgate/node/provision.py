"""Makes a deployment's pieces know each other: clients, counterparties, lanes, endpoints, grants.

Each step looks first whether it is done, so running it again on a half-made deployment finishes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from lockgate.courier.ports import Submitted, Updater
from lockgate.crypto.keys import KeyRole
from lockgate.crypto.ports import Signer
from lockgate.hosting.config import LedgerRef
from lockgate.lightclients.cometbft.hashing import header_hash
from lockgate.machine import keys
from lockgate.machine.genesis import Genesis, LedgerClass
from lockgate.machine.records import Lane, LaneOrder
from lockgate.machine.transaction import Message
from lockgate.node.folder import SUITE_ED25519
from lockgate.node.wallet import Wallet
from lockgate.primitives.errors import Refused
from lockgate.primitives.ids import ClientId, DomainId, Height
from lockgate.relay import pairing, pairing_kinds
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.pairing_kinds import Following
from lockgate.relay.rpc import BadAnswer, Calls, Rpc, array
from lockgate.relay.submitter import ANY_PRICE, AccountSubmitter

RELAY_KEYS: Final = {"account": (KeyRole.ACCOUNT, SUITE_ED25519)}
OPERATOR_LANE = 1
HOST_LANE = 2
RELAY_LANE = 3


class SetupFailed(Refused):
    code = "node.setup_failed"
    summary = "A ledger refused a step of setting up the deployment."
    untouched = "Steps done before stand; running the command again goes on from there."
    next_step = "Read the ledger's own words in the error."


@dataclass(slots=True)
class LedgerAccess:
    """A running ledger with an account that acts on it."""

    name: str
    chain: CometBftChain
    genesis: Genesis
    submitter: AccountSubmitter

    @classmethod
    async def connect(
        cls,
        name: str,
        address: str | Callable[[], str],
        signer: Signer | Wallet,
        nonce_lane: int,
        most_price: int = ANY_PRICE,
    ) -> LedgerAccess:
        """Ledgers of the folder are the operator's own, so their nodes are believed what gas costs."""
        rpc = Rpc(address)
        try:
            chain = await open_chain(rpc)
        except BaseException:
            await rpc.close()
            raise
        return await cls.over(name, chain, signer, nonce_lane, most_price)

    @classmethod
    async def over(
        cls, name: str, chain: CometBftChain, signer: Signer | Wallet, nonce_lane: int, most_price: int
    ) -> LedgerAccess:
        """As `connect`, to a ledger that is open; where this fails it is closed."""
        try:
            genesis = Genesis.from_bytes(await chain.genesis())
            account, renew = None, None
            if isinstance(signer, Wallet):  # an account that may have another key than its first by now
                renew = partial(signer.renew, chain)
                account, signer = await signer.signer_on(chain)
        except BaseException:
            await chain.rpc.close()
            raise
        submitter = AccountSubmitter(
            chain, genesis.domain_id, signer.public_key, signer.sign, nonce_lane, most_price,
            account=account, renew=renew,
        )  # fmt: skip
        return cls(name, chain, genesis, submitter)

    def as_account(self, signer: Signer, nonce_lane: int) -> AccountSubmitter:
        """Another account beside this one's, which pays no more for gas."""
        most = self.submitter.most_price
        return AccountSubmitter(self.chain, self.genesis.domain_id, signer.public_key, signer.sign, nonce_lane, most)

    async def ref(self, height: int = 0) -> LedgerRef:
        """A fingerprint of this ledger and its rules, for those who start to trust it from here (P11, P16)."""
        return await fingerprint(self.name, self.chain, self.genesis, height)

    async def do(self, *messages: Message, by: AccountSubmitter | None = None) -> Submitted:
        """Submit; raise SetupFailed with the ledger's words when it is refused."""
        done = await (by or self.submitter).submit(messages)
        if done.code:
            raise SetupFailed(done.log, ledger=self.name, code=done.code)
        return done


async def fingerprint(name: str, chain: CometBftChain, genesis: Genesis, height: int = 0) -> LedgerRef:
    """A ledger as its node shows it at a height; 0: at its newest."""
    at = height or (await chain.header_at_least(2)).height.height
    digest = header_hash((await chain.signed_header(at)).header)
    rules = await chain.prove(keys.RULES, keys.RULES_DIGEST, Height(chain.revision, at))
    pinned = () if rules.value is None else (rules.value.hex(),)
    return LedgerRef(name, chain.chain_id, genesis.domain_id.hex(), at, digest.hex(), pinned)


async def open_chain(rpc: Calls) -> CometBftChain:
    """Find out which chain a node runs."""
    status = await rpc.call("status")
    return CometBftChain(rpc, str(status["node_info"]["network"]))


@dataclass(frozen=True, slots=True)
class Followed:
    """How a ledger is to be followed by the other, and what brings such a client forward."""

    by: Following = Following()
    updaters: Mapping[str, Updater] = field(default_factory=dict)


HEADERS: Final = Followed()


async def create_client(on: LedgerAccess, of: LedgerAccess, following: Following | None = None) -> ClientId:
    """A client on one ledger of another; by its headers, unless something else is said."""
    asked = following or Following()
    return await pairing_kinds.create(on.do, of.chain, of.genesis.domain_id, on.submitter.signer, asked)


async def register(on: LedgerAccess, client: ClientId, counterparty: ClientId) -> None:
    await on.do(pairing.register_message(client, counterparty, on.submitter.signer))


async def open_lane(
    on: LedgerAccess,
    client: ClientId,
    far: LedgerAccess,
    far_client: ClientId,
    order: LaneOrder,
    followed: Followed = HEADERS,
) -> None:
    """Update our client of the far ledger, read the four proofs there, open the lane."""
    at, messages = await pairing.brought(on.chain, client, far.chain, on.submitter.signer, followed.updaters)
    facing, domain = await asyncio.gather(
        pairing.facing(client, far.chain, far_client, at), far.chain.prove("rules", b"domain", at)
    )
    lane = {
        **facing,
        "remote_genesis": far.genesis.to_bytes(),
        "domain_proof": domain.proof,
        # `up` started both ledgers itself: whose operator they trust is no question here (P10).
        "operated": far.genesis.ledger_class is not LedgerClass.BFT,
        "order": int(order),
    }
    await on.do(*messages, ("lane.open", lane))


async def lane_between(
    one: LedgerAccess,
    other: LedgerAccess,
    say: Callable[[str], None],
    order: LaneOrder = LaneOrder.UNORDERED,
    followed: tuple[Followed, Followed] = (HEADERS, HEADERS),
) -> tuple[Lane, Lane]:
    """The lane between two ledgers, seen from each; opened in this order when there is none. Raises SetupFailed.

    `followed` says how each of them is followed by the other. A lane keeps its order and its clients.
    """
    mine, theirs = await find_lane(one, other.genesis.domain_id), await find_lane(other, one.genesis.domain_id)
    if mine is not None and theirs is not None:
        if {mine.order, theirs.order} != {order}:
            raise SetupFailed("the lane was opened with another order", lane=mine.order.name.lower(), asked=order.name)
        for lane, asked in ((theirs, followed[0]), (mine, followed[1])):
            if lane.local_client.rpartition("-")[0] != asked.by.kind:
                raise SetupFailed(
                    "the lane was opened over another kind of client", client=lane.local_client, asked=asked.by.kind
                )
        return mine, theirs
    say("clients")
    client, far = await asyncio.gather(
        create_client(one, other, followed[1].by), create_client(other, one, followed[0].by)
    )
    await asyncio.gather(register(one, client, far), register(other, far, client))
    say("lane")
    await open_lane(one, client, other, far, order, followed[1])
    await open_lane(other, far, one, client, order, followed[0])
    mine, theirs = await find_lane(one, other.genesis.domain_id), await find_lane(other, one.genesis.domain_id)
    assert mine is not None
    assert theirs is not None
    return mine, theirs


async def find_lane(ledger: LedgerAccess, remote: DomainId) -> Lane | None:
    return next((lane for lane in await lanes_of(ledger.chain) if lane.remote_domain == remote), None)


async def lanes_of(chain: CometBftChain) -> Sequence[Lane]:
    """Every lane a ledger keeps."""
    return [Lane.from_bytes(item) for item in array(await chain.query("/lockgate/lanes", b""), bytes)]


async def described(chain: CometBftChain) -> Sequence[tuple[Any, ...]]:
    """Every light client of a ledger, of whatever kind, as its query `/lockgate/clients` answers."""
    return array(await chain.query("/lockgate/clients", b""), tuple)


async def described_one(chain: CometBftChain, client: ClientId) -> tuple[Any, ...]:
    """The row of one client. Raises BadAnswer where the node lists none of that name."""
    row = next((row for row in await described(chain) if row and row[0] == client), None)
    if row is None:
        raise BadAnswer("the node lists no such client", client=client)
    return row


async def has_endpoint(ledger: LedgerAccess, endpoint: bytes) -> bool:
    try:
        await ledger.chain.query("/lockgate/endpoint", endpoint)
    except Exception as error:
        if "endpoint.unregistered" in str(error):
            return False
        raise
    return True
