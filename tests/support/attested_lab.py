"""Clients of a lab ledger that are attested: made, updated and accused by transactions."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from google.protobuf.any_pb2 import Any as AnyMessage

from lockgate.codec import type_urls as urls
from lockgate.codec.wire import ibc_client_pb2 as client_wire
from lockgate.crypto.suites import SIGN_ED25519
from lockgate.lab.ledgers import LabLedger, responses
from lockgate.lab.paths import End, expect
from lockgate.lightclients.attested import Attestation, ClientState, ConsensusState, SignerSet, messages, states
from lockgate.lightclients.attested.messages import ATTESTATION
from lockgate.machine.machine import TxResult
from lockgate.machine.transaction import Message
from lockgate.primitives.ids import ClientId
from lockgate.primitives.time import UnixNanos, seconds
from tests.support.attesters import attester, ordered, signatures, signer
from tests.support.lab import START


def attested_state(of: LabLedger, threshold: int = 4, first: int = 0, suite: int = SIGN_ED25519.id) -> ClientState:
    until = UnixNanos(START + seconds(86_400 * 300))
    signers = ordered([signer(number, until=until, suite=suite) for number in range(first, first + 5)])
    return ClientState(
        domain=of.genesis.domain_id,
        chain_id=of.genesis.chain_id,
        signers=SignerSet(epoch=1, threshold=threshold, signers=signers),
        trusting_period=seconds(86_400 * 14),
        max_clock_drift=seconds(40),
        latest_height=of.at(of.height),
    )


def create(on: End, client_state: bytes, consensus_state: bytes) -> TxResult:
    """Make a client of any kind; `on` knows it afterwards."""
    message = client_wire.MsgCreateClient(
        client_state=AnyMessage.FromString(client_state),
        consensus_state=AnyMessage.FromString(consensus_state),
        signer=on.account.id,
    )
    result = on.ledger.transact(on.account, (urls.MSG_CREATE_CLIENT, message.SerializeToString()))
    if not result.code:
        on.client = ClientId(client_wire.MsgCreateClientResponse.FromString(responses(result)[0]).client_id)
    return result


def create_attested(on: End, of: LabLedger, state: ClientState) -> None:
    header = of.chain.signed_header(of.height).header
    first = states.encode_consensus_state(ConsensusState(header.time, header.app_hash))
    expect(create(on, states.encode_client_state(state), first))
    on.trusted = of.height


def attestation(of: LabLedger, state: ClientState, height: int, **spoilt: Any) -> Attestation:
    header = of.chain.signed_header(height).header
    bare = Attestation(epoch=1, height=of.at(height), timestamp=header.time, root=header.app_hash)
    bare = replace(bare, **spoilt)
    names = state.signers.by_hash
    suite = state.signers.signers[0].key.suite
    key = partial(attester, suite=suite)
    by = [number for number in range(20) if key(number).key.hash in names][: state.signers.threshold]
    return replace(bare, signatures=signatures(state, bare.message(state.chain_id, state.signers), by, key))


def client_message(on: End, kind: str, value: bytes) -> Message:
    message = client_wire.MsgUpdateClient(
        client_id=on.client, client_message=AnyMessage(type_url=kind, value=value), signer=on.account.id
    )
    return urls.MSG_UPDATE_CLIENT, message.SerializeToString()


def attest(on: End, of: LabLedger, state: ClientState, height: int, **spoilt: Any) -> TxResult:
    """Bring an attested client to a height of the other ledger, or to what is said of it."""
    value = messages.encode_attestation(attestation(of, state, height, **spoilt))
    return on.ledger.transact(on.account, client_message(on, ATTESTATION, value))
