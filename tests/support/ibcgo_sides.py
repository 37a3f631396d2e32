"""Either ledger of a meeting as the one that judges: good messages for it, and what becomes of them."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from google.protobuf.any_pb2 import Any as AnyMessage

from lockgate.codec import bech32
from lockgate.codec import type_urls as urls
from lockgate.codec.wire import cosmos_pb2
from lockgate.codec.wire import ibc_client_pb2 as client_wire
from lockgate.courier.ports import Submitted, Submitter
from lockgate.crypto import ed25519
from lockgate.ibc import host, wire
from lockgate.ibc.packet import Acknowledgement, Packet
from lockgate.lightclients.cometbft import hashing
from lockgate.lightclients.cometbft.signing import VoteFrame
from lockgate.lightclients.cometbft.types import (
    BlockID,
    BlockIdFlag,
    Commit,
    CommitSig,
    LightBlock,
    PartSetHeader,
    SignedHeader,
    VoteType,
)
from lockgate.machine.transaction import Message
from lockgate.merkle.varint import uvarint
from lockgate.primitives.ids import ClientId, Height
from lockgate.relay.chains.cometbft import CometBftChain
from tests.support.ibcgo import Meeting, text

Code = tuple[str, int]


@dataclass
class Side:
    """One ledger, its user's account, its client of the other ledger, and that other ledger."""

    name: str
    chain: CometBftChain
    submitter: Submitter
    client: ClientId
    remote: CometBftChain
    remote_client: ClientId

    async def code(self, *messages: Message) -> Code:
        done = await self.submitter.submit(messages)
        return done.codespace, done.code

    async def header_for(self, height: Height) -> Height:
        """The remote header that proves the state after a block of it."""
        at = height.height + 1
        await self.remote.header_at_least(at)
        return Height(height.revision, at)

    async def update(self, at: Height, client: ClientId | None = None, trusted: Height | None = None) -> Message:
        """MsgUpdateClient to a remote header, from the client's newest height unless another is given."""
        known = trusted or (await self.chain.client(self.client)).latest
        wrapped = AnyMessage.FromString(await self.remote.update_message(self.client, known, at))
        return self.carrying(wrapped, client)

    def carrying(self, wrapped: AnyMessage, client: ClientId | None = None) -> Message:
        message = client_wire.MsgUpdateClient(
            client_id=client or self.client, client_message=wrapped, signer=self.submitter.signer
        )
        return urls.MSG_UPDATE_CLIENT, message.SerializeToString(deterministic=True)

    async def proof(self, key: bytes, at: Height) -> bytes:
        return (await self.remote.prove("ibc", key, at)).proof

    def receive(self, packet: Packet, proof: bytes, at: Height) -> Message:
        return urls.MSG_RECV_PACKET, wire.encode_receive(packet, proof, at, self.submitter.signer)

    def acknowledge(self, packet: Packet, answer: Acknowledgement, proof: bytes, at: Height) -> Message:
        return urls.MSG_ACKNOWLEDGEMENT, wire.encode_acknowledge(packet, answer, proof, at, self.submitter.signer)

    def time_out(self, packet: Packet, proof: bytes, at: Height) -> Message:
        return urls.MSG_TIMEOUT, wire.encode_timeout(packet, proof, at, self.submitter.signer)

    async def received(self, packet: Packet, sent: Submitted) -> tuple[Message, Message, Height]:
        """A good update and receive for a packet that the remote ledger has sent, and the height of the proof."""
        at = await self.header_for(sent.height)
        proof = await self.proof(host.packet_commitment(self.remote_client, packet.sequence), at)
        return await self.update(at), self.receive(packet, proof, at), at


def sides(met: Meeting) -> tuple[Side, Side]:
    """Theirs first: it is the measure."""
    theirs = Side("ibc-go", met.theirs, met.user, met.their_client, met.ours, met.our_client)
    ours = Side("ours", met.ours, met.mine, met.our_client, met.theirs, met.their_client)
    return theirs, ours


def proposal(subject: ClientId, substitute: ClientId, proposer: str) -> Message:
    """A governance proposal of a Cosmos chain that lets one client take the place of another."""
    authority = bech32.encode("cosmos", sha256(b"gov").digest()[:20])  # the module's account
    recover = client_wire.MsgRecoverClient(subject_client_id=subject, substitute_client_id=substitute, signer=authority)
    held = AnyMessage(type_url=urls.MSG_RECOVER_CLIENT, value=recover.SerializeToString()).SerializeToString()
    deposit = cosmos_pb2.Coin(denom="stake", amount="10000").SerializeToString()
    parts = (text(1, held), text(2, deposit), text(3, proposer), text(5, "recover"), text(6, "a client expired"))
    return "/cosmos.gov.v1.MsgSubmitProposal", b"".join(parts)


def vote(number: int, voter: str) -> Message:
    return "/cosmos.gov.v1.MsgVote", b"\x08" + uvarint(number) + text(2, voter) + b"\x18\x01"


def resigned(block: LightBlock, key: ed25519.SigningKey, root: bytes = b"\x66" * 32) -> SignedHeader:
    """The block's header with another app hash, signed by its one validator."""
    header = replace(block.header, app_hash=root)
    block_id = BlockID(hashing.header_hash(header), PartSetHeader(1, sha256(b"another history").digest()))
    frame = VoteFrame.of(header.chain_id, VoteType.PRECOMMIT, header.height, 0, block_id)
    (member,) = block.validators.validators
    signature = key.sign(frame.sign_bytes(header.time))
    sig = CommitSig(BlockIdFlag.COMMIT, member.address, header.time, signature)
    return SignedHeader(header, Commit(header.height, 0, block_id, (sig,)))


def validator_key(home: Path) -> ed25519.SigningKey:
    """The key that a CometBFT node keeps in its home."""
    kept = json.loads((home / "config" / "priv_validator_key.json").read_text())
    return ed25519.SigningKey(base64.b64decode(kept["priv_key"]["value"])[:32])


def packets_of(done: Submitted) -> list[Packet]:
    return [
        wire.read_packet(bytes.fromhex(event.get("encoded_packet_hex") or ""))
        for event in done.events
        if event.type == "send_packet"
    ]


def answer_of(done: Submitted) -> Acknowledgement:
    (found,) = {
        event.get("encoded_acknowledgement_hex") for event in done.events if event.type == "write_acknowledgement"
    }
    return wire.read_acknowledgement(bytes.fromhex(found or ""))
