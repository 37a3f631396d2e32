"""Validators of a lab ledger that sign a second history: the adversary a misbehaviour watch is for."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

from google.protobuf.any_pb2 import Any as AnyMessage

from lockgate.codec import type_urls as urls
from lockgate.codec.wire import ibc_client_pb2 as client_wire
from lockgate.crypto import ed25519
from lockgate.lab.ledgers import LabAccount, LabLedger
from lockgate.lightclients.cometbft import hashing
from lockgate.lightclients.cometbft.signing import VoteFrame
from lockgate.lightclients.cometbft.types import (
    BlockID,
    BlockIdFlag,
    Commit,
    CommitSig,
    Header,
    PartSetHeader,
    SignedHeader,
    ValidatorSet,
    VoteType,
)
from lockgate.lightclients.tendermint.messages import encode_header
from lockgate.primitives.time import NANOS_PER_MILLI, UnixNanos


def forged(
    ledger: LabLedger,
    height: int,
    root: bytes = b"\x66" * 32,
    *,
    signed_by: str | None = None,
    validators: ValidatorSet | None = None,
) -> SignedHeader:
    """A header of `height` with another root, signed by all of the ledger's own validators.

    With `signed_by`, keys of that name sign instead, in the validators' place; `validators` are a set that once signed,
    and that the header says signs still.
    """
    chain = ledger.chain
    base = chain.signed_header(min(height, ledger.height)).header
    ahead = max(height - ledger.height, 0)
    header: Header = replace(base, height=height, app_hash=root, time=UnixNanos(base.time + ahead * NANOS_PER_MILLI))
    signing = validators or chain.validators
    if validators is not None:
        header = replace(header, validators_hash=signing.hash, next_validators_hash=signing.hash)
    block_id = BlockID(hashing.header_hash(header), PartSetHeader(1, sha256(b"another history").digest()))
    frame = VoteFrame.of(header.chain_id, VoteType.PRECOMMIT, height, 0, block_id)
    count = len(signing.validators)
    seeds = [f"{signed_by or header.chain_id}/validator/{i}".encode().ljust(32, b"\0")[:32] for i in range(count)]
    keys = [ed25519.SigningKey(seed) for seed in seeds]
    by_address = {sha256(key.public_key).digest()[:20]: key for key in keys}
    sigs = []
    for place, member in enumerate(signing.validators):
        key = by_address.get(member.address, keys[place])
        signature = key.sign(frame.sign_bytes(header.time))
        sigs.append(CommitSig(BlockIdFlag.COMMIT, member.address, header.time, signature))
    return SignedHeader(header, Commit(height, 0, block_id, tuple(sigs)))


def update_with(
    of: LabLedger, signed: SignedHeader, client: str, trusted: int, signer: LabAccount
) -> tuple[str, bytes]:
    """A MsgUpdateClient that hands a client this header."""
    header = encode_header(signed, of.chain.validators, of.at(trusted), of.chain.validators)
    message = client_wire.MsgUpdateClient(
        client_id=client,
        client_message=AnyMessage(type_url=urls.TENDERMINT_HEADER, value=header),
        signer=signer.id,
    )
    return urls.MSG_UPDATE_CLIENT, message.SerializeToString(deterministic=True)
