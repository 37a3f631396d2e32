"""A ledger that signed two histories: evidence kept, its clients frozen, nothing of it believed (P14, P20)."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final, Protocol

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError

from lockgate.codec import type_urls as urls
from lockgate.codec.wire import ibc_client_pb2 as client_wire
from lockgate.host import evidence as documents
from lockgate.hosting.reader import Distrusted, ProvenReader, TwoHistories
from lockgate.hosting.traffic import messages_of
from lockgate.hosting.work import Parts
from lockgate.ibc import host as ibc_host
from lockgate.lightclients.cometbft.soundness import SoundBlock
from lockgate.lightclients.cometbft.types import LightBlock, SignedHeader, ValidatorSet
from lockgate.lightclients.follower import Equivocation
from lockgate.lightclients.tendermint import states
from lockgate.lightclients.tendermint.messages import ClientHeader, decode_header, encode_header, encode_misbehaviour
from lockgate.machine.clients import Clients
from lockgate.machine.transaction import Message
from lockgate.primitives.errors import PeerFault
from lockgate.primitives.ids import ClientId, Height
from lockgate.relay.search import search
from lockgate.relay.submitter import AccountSubmitter

MARK: Final = "distrusted/"


class ClientDiffers(PeerFault):
    code = "host.client_differs"
    summary = "The own ledger's client holds another state of the remote ledger than the header this host verified."
    untouched = "The message was refused; the guest did not run."
    next_step = "Stop the lane and compare: attesters lie, or one of the two sides is shown a false ledger."


class Evidence(Protocol):
    """Where evidence is kept for people."""

    def keep(self, kind: str, document: bytes, /) -> str:
        """Keep one document; returns where it is. Keeping it again changes nothing."""
        ...


class Forks:
    """Acts on proof that a ledger has two histories. Each ledger is found out once."""

    def __init__(
        self,
        parts: Parts,
        readers: dict[str, ProvenReader],
        own: ProvenReader,
        submitter: AccountSubmitter,
        evidence: Evidence,
    ) -> None:
        self._parts = parts
        self._readers = {reader.chain.chain_id: reader for reader in readers.values()}
        self._own = own
        self._submitter = submitter
        self._evidence = evidence
        self._kinds = Clients()
        self._unsubmitted: list[tuple[ProvenReader, Equivocation]] = []
        self._noted: list[TwoHistories] = []

    def recall(self) -> None:
        """Distrust what an earlier run of this host has found out, until a fresh fingerprint is configured."""
        for reader in self._readers.values():
            kept = self._parts.store.meta(_mark(reader))
            if kept is not None:
                reader.distrusted = _distrusted(reader, kept.decode())

    def note(self, error: TwoHistories) -> None:
        """What was found outside a turn of the host, which alone submits: acted on with the next `submit`."""
        self._noted.append(error)

    async def found(self, error: TwoHistories) -> None:
        """Keep the evidence, stop trusting the ledger, and freeze every client of it on the own ledger."""
        reader = self._readers[error.chain_id]
        if reader.distrusted is not None:
            return
        first, second = error.evidence.first, error.evidence.second
        document = documents.two_histories(error.chain_id, reader.follower.anchor.domain, error.evidence)
        path = self._evidence.keep("two-histories", document)
        with self._parts.store.commit(durable=True):
            self._parts.store.set_meta(_mark(reader), path.encode())
        reader.distrusted = _distrusted(reader, path)
        said: dict[str, object] = {"code": error.code, "chain": error.chain_id, "evidence": path}
        self._parts.report("two_histories", {**said, "first": first.height, "second": second.height})
        if reader is not self._own:
            self._unsubmitted.append((reader, error.evidence))
            await self.submit()

    async def checked(self, reader: ProvenReader, client: str, height: Height, check: Awaitable[None]) -> None:
        """Await a check of a proof; where it fails, ask whether the two ledgers show different histories.

        The own ledger has accepted what this host cannot verify. Either its node lies about what it
        accepted, or its client believes another header of `height` than this host. Raises
        TwoHistories, or what the check raised.
        """
        try:
            await check
        except PeerFault:
            await self._compare_client(reader, client, height)
            raise

    async def _compare_client(self, reader: ProvenReader, client: str, height: Height) -> None:
        """Judge the header by which the own ledger's client got to `height`, where it got there by one.

        Raises TwoHistories; ClientDiffers where the client believes what no header of the ledger bears out.
        """
        ours = reader.follower.trusted(height.height)
        name = ClientId(client)
        data = await self._own.value("ibc", ibc_host.consensus_state(name, height), self._own.newest.height)
        module = self._kinds.of_type(client)
        if ours is None or data is None or module is None:
            return
        _, root = module.content(data)
        if root == ours.header.app_hash:
            return
        for hit in await search(self._own.chain, "update_client", ("consensus_height", str(height)), client_id=client):
            for transaction in await self._own.chain.transactions(hit.height.height):
                for update in updates_in(transaction, client):
                    block = with_next_set(reader, update.block)
                    if block is not None and block.height == height.height:
                        reader.judge(block)
        self._parts.report("client_differs", {"client": client, "height": str(height), "chain": reader.chain.chain_id})
        raise ClientDiffers(client=client, height=height, verified=ours.header.app_hash, held=root)

    async def submit(self) -> None:
        """Submit what has not been submitted. What fails for want of a node is tried at the next call."""
        while self._noted:
            await self.found(self._noted.pop())
        while self._unsubmitted:
            reader, evidence = self._unsubmitted[0]
            for client in await self._own.chain.clients_of(reader.chain.chain_id):
                outcome = await self._freeze(reader, client, evidence)
                done: dict[str, object] = {"chain": reader.chain.chain_id, "client": client, "outcome": outcome}
                self._parts.report("misbehaviour", done)
            self._unsubmitted.pop(0)

    async def _freeze(self, reader: ProvenReader, client: ClientId, evidence: Equivocation) -> str:
        """Freeze one client; returns what became of it."""
        chain = self._own.chain
        if (await chain.client(client)).status == "Frozen":
            return "frozen before"
        message = await self._message(reader, client, evidence)
        if message is None:
            return "it holds no header below the two"
        done = await self._submitter.submit([message])
        if done.code:
            return done.log
        tip = await chain.header_at_least(done.height.height + 1)
        data = await self._own.value("ibc", ibc_host.client_state(client), tip.height.height)
        frozen = data is not None and states.decode_client_state(data).frozen_height != Height(0, 0)
        return "frozen" if frozen else "the ledger took the evidence and did not freeze"

    async def _message(self, reader: ProvenReader, client: ClientId, evidence: Equivocation) -> Message | None:
        """MsgUpdateClient with the two headers, from the newest consensus state below both; None without one."""
        limit = min(evidence.first.height, evidence.second.height)
        known = [height for height in await self._own.chain.consensus_heights(client) if height.height < limit]
        if not known:
            return None
        trusted = max(known)
        validators = await self._validators(reader, client, trusted)
        first, second = (_header(block, trusted, validators) for block in (evidence.first, evidence.second))
        update = client_wire.MsgUpdateClient(
            client_id=client,
            client_message=AnyMessage(
                type_url=urls.TENDERMINT_MISBEHAVIOUR, value=encode_misbehaviour(client, first, second)
            ),
            signer=self._submitter.signer,
        )
        return urls.MSG_UPDATE_CLIENT, update.SerializeToString(deterministic=True)

    async def _validators(self, reader: ProvenReader, client: ClientId, at: Height) -> ValidatorSet:
        """The set that a consensus state names as next: held by the follower, else asked of the node."""
        data = await self._own.value("ibc", ibc_host.consensus_state(client, at), self._own.newest.height)
        wanted = b"" if data is None else states.decode_consensus_state(data).next_validators_hash
        held = next((known for known in reader.follower.sets if known.hash == wanted), None)
        return held or await reader.chain.validators(at.height + 1)


def trusted_one(reader: ProvenReader, evidence: Equivocation) -> LightBlock:
    """Which of the two headers this host trusts."""
    first, second = evidence.first, evidence.second
    return first if reader.follower.trusted(first.height) is first else second


def updates_in(transaction: bytes, client: str) -> list[ClientHeader]:
    """Headers that a transaction of ours brought to one client."""
    found = []
    for name, content in messages_of(transaction):
        if name != urls.MSG_UPDATE_CLIENT or not isinstance(content, bytes):
            continue
        try:
            message = client_wire.MsgUpdateClient.FromString(content)
        except DecodeError:
            continue  # a node made it up: the ledger has refused it
        if message.client_id == client and message.client_message.type_url == urls.TENDERMINT_HEADER:
            found.append(decode_header(message.client_message.value))
    return found


def with_next_set(reader: ProvenReader, sound: SoundBlock) -> LightBlock | None:
    """A sound block with the set that follows it, when the follower holds that one."""
    wanted = sound.header.next_validators_hash
    following = next((held for held in (*reader.follower.sets, sound.validators) if held.hash == wanted), None)
    return (
        None if following is None else LightBlock(SignedHeader(sound.header, sound.commit), sound.validators, following)
    )


def _header(block: LightBlock, trusted: Height, validators: ValidatorSet) -> bytes:
    return encode_header(block.signed_header, block.validators, trusted, validators)


def _mark(reader: ProvenReader) -> str:
    return MARK + reader.follower.anchor.header_hash.hex()


def _distrusted(reader: ProvenReader, path: str) -> Distrusted:
    return Distrusted("it signed two histories", chain=reader.chain.chain_id, evidence=path)


__all__ = ("Evidence", "Forks", "trusted_one")
