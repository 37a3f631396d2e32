"""The CDDL texts describe the bytes that ledgers really write, and nothing else (I3, I4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest

from lockgate.codec import cbor
from lockgate.codec.errors import SchemaMismatch
from lockgate.codec.registry import Registry, Schema
from lockgate.codec.wire import tendermint_pb2
from lockgate.lab.ledgers import LabLedger, lab_authority
from lockgate.lab.paths import End, connect, expect, update
from lockgate.lightclients.cometbft import decoding
from lockgate.machine import gas, governance, keys
from lockgate.machine.errors import BadGenesis, BadKeyRecord, BadSignature, BadTransaction
from lockgate.machine.genesis import Genesis
from lockgate.machine.identity import SignedRecord, verify_next
from lockgate.machine.records import (
    Account,
    AccountKeys,
    EndpointState,
    Entry,
    Evidence,
    Grant,
    Lane,
    MessageId,
    OpenMessage,
    OpenSends,
    Reason,
    Record,
    Scheduled,
    Settlement,
    StateDamaged,
)
from lockgate.machine.schemas import (
    ACTIONS,
    GENESIS,
    KEY_RECORD,
    MESSAGES,
    RECORDS,
    SCHEMAS,
    SIGNED_KEY_RECORD,
    TRANSACTION,
    TRANSACTION_BODY,
)
from lockgate.machine.succession import Authorities
from lockgate.machine.tokens import RevokedTokens
from lockgate.machine.transaction import decode_and_verify
from tests.support.account_keys import key, rotation
from tests.support.authorities import succeeding
from tests.support.equivocation import misbehaviour
from tests.support.lab import World
from tests.support.notes import PORT, Notes
from tests.unit.machine.test_foreign_lanes import foreign_message
from tests.unit.machine.test_suspension import settle_action, show_header


@cache
def lived() -> World:
    """A world in which every message was sent and every record written."""
    world = World.make(applications={PORT: Notes()})
    a, b = world.a.ledger, world.b.ledger
    sending = world.sender.sending(world.a.client, world.receiver, world.now_s + 600, b"sealed")
    beside = [[PORT, PORT, "notes-1", "text/plain", b"note"]]
    expect(a.transact(world.host_a, world.sender.advance({**sending, "beside": beside})))
    for one in (b"t" * 16, b"k" * 32):
        listed = {"endpoint": world.sender.id, "id": one, "until": world.now_s + 300}
        expect(a.transact(world.host_a, ("token.revoke", listed)))
    first = world.send()
    expect(world.deliver(first))
    refusal = world.receiver.answer(world.b.client, first.sequence, refusal=("guest.refused", b"detail"))
    expect(world.acknowledge(first, world.acknowledgement(expect(b.transact(world.host_b, refusal)), first)))
    second = world.send()
    expect(world.deliver(second))
    expect(world.acknowledge(second, world.acknowledgement(expect(world.answer(second)), second)))
    expect(world.deliver(world.send()))
    expect(b.transact(world.host_b, ("endpoint.rotate", {"record": world.receiver.rotated().to_bytes()})))
    expect(b.transact(b.clerk, rotation(b, b.clerk.id, 1, "clerk 1", "clerk 2", 5)))
    b.clerk.key = key("clerk 1")
    change = {"action": "parameters.set", "arguments": {"parameters": {"max_messages": 64}}}
    event = expect(b.govern(world.gov, "gov.announce", change)).events[0]
    place = {"due": int(event.get("due") or 0), "number": int(event.get("number") or 0)}
    expect(b.govern(world.gov, "gov.cancel", place))
    expect(b.govern(world.gov, "gov.stop", {"lane": world.lane, "note": "drill"}))
    admit = {"suite": 1, "public_key": world.host_a.key.public_key, "balance": 7}
    expect(a.govern(world.gov, "gov.announce", {"action": "account.admit", "arguments": admit}))
    for _ in range(a.genesis.parameters.authority_delay_blocks):
        a.block()
    left = world.send()
    evidence = misbehaviour(world, *show_header(world))
    expect(a.govern(world.gov, "gov.announce", settle_action(world, left, evidence)))
    for _ in range(a.genesis.parameters.authority_delay_blocks):
        a.block()
    resume = {"action": "lane.resume", "arguments": {"lane": world.lane}}
    expect(a.govern(world.gov, "gov.announce", resume))
    foreign_lane(world)
    successors = [lab_authority(f"authority {index}") for index in (1, 2)]
    expect(b.govern(world.gov, "gov.announce", succeeding(b, world.gov, *successors)))
    for _ in range(b.genesis.parameters.authority_delay_blocks):
        b.block()
    return world


def foreign_lane(world: World) -> None:
    """A second pair of clients between the two, taken for a ledger that knows nothing of ours."""
    one, other = End(world.a.ledger, world.a.account), End(world.b.ledger, world.b.account)
    connect(one, other, lane=False)
    update(one, other.ledger)
    expect(one.ledger.transact(one.account, foreign_message(one, other)))


def ledgers() -> tuple[LabLedger, LabLedger]:
    world = lived()
    return world.a.ledger, world.b.ledger


def transactions() -> Iterator[tuple[LabLedger, bytes]]:
    for ledger in ledgers():
        for height in range(1, ledger.height + 1):
            row = ledger.chain.store.block(height)
            assert row is not None
            for data in decoding.parse(tendermint_pb2.Block, row.block).data.txs:
                yield ledger, data


def messages() -> Iterator[tuple[str, Any]]:
    for ledger, data in transactions():
        signed = decode_and_verify(data, ledger.revision, max_bytes=1 << 20, max_messages=1_024)
        yield from signed.transaction.messages


def stored(store: str, prefix: bytes) -> list[bytes]:
    end = prefix[:-1] + bytes([prefix[-1] + 1]) if prefix else b"\xff" * 80
    return [value for ledger in ledgers() for _, value in ledger.chain.view().scan(store, prefix or b"\x00", end)]


KINDS: dict[str, tuple[type[Record], Callable[[], list[bytes]]]] = {
    "account": (Account, lambda: stored(keys.ACCOUNT, b"account/")),
    "account-keys": (AccountKeys, lambda: stored(keys.ACCOUNT, b"keys/")),
    "authorities": (Authorities, lambda: stored(keys.GOVERNANCE, b"authorities")),
    "endpoint-state": (EndpointState, lambda: stored(keys.ENDPOINT, b"state/")),
    "lane": (Lane, lambda: stored(keys.LANE, b"lane/")),
    "open-sends": (OpenSends, lambda: stored(keys.LANE, b"open/") + stored(keys.LANE, b"settled_sum/")),
    "evidence": (Evidence, lambda: stored(keys.LANE, b"equivocation/")),
    "settlement": (Settlement, lambda: stored(keys.LANE, b"settled/")),
    "grant": (Grant, lambda: stored(keys.ENDPOINT, b"grant/")),
    "revoked-tokens": (RevokedTokens, lambda: stored(keys.ENDPOINT, b"tokens/")),
    "entry": (Entry, lambda: stored(keys.INBOX, b"entry/")),
    "reason": (Reason, lambda: stored(keys.REASON, b"07-")),
    "open-message": (OpenMessage, lambda: stored(keys.ENDPOINT, b"message/")),
    "message-id": (MessageId, lambda: stored(keys.ENDPOINT, b"packet/")),
    "scheduled": (Scheduled, lambda: stored(keys.GOVERNANCE, b"schedule/")),
}


def refuses(schema: Schema, data: bytes) -> None:
    with pytest.raises(SchemaMismatch):
        schema.validate(data)


def test_the_schemas_make_a_registry() -> None:
    assert {schema.id for schema in Registry(SCHEMAS)} == {schema.id for schema in SCHEMAS}


def test_genesis_documents_are_as_described() -> None:
    for ledger in ledgers():
        data = ledger.genesis.to_bytes()
        GENESIS.validate(data)
        value: Any = cbor.decode(data)
        for wrong in (
            {**value, "class": "trusted"},
            {**value, "more": 1},
            {**value, "validators": []},
            {**value, "parameters": {**value["parameters"], "unknown": 1}},
            {name: item for name, item in value.items() if name != "authority"},
        ):
            refuses(GENESIS, cbor.encode(wrong))
            with pytest.raises(BadGenesis):
                Genesis.from_bytes(cbor.encode(wrong))


def test_transactions_are_as_described() -> None:
    seen = 0
    for _, data in transactions():
        TRANSACTION.validate(data)
        outer: Any = cbor.decode(data, tags=TRANSACTION.tags)
        protected, _, body, signature = outer.value
        TRANSACTION_BODY.validate(body)
        seen += 1
    refuses(TRANSACTION_BODY, cbor.encode([*cbor.decode(body), 0]))
    for wrong in ([protected, {}, body, signature[:-1]], [protected, {}, body]):
        spoiled = b"\xd2" + cbor.encode(wrong)
        refuses(TRANSACTION, spoiled)
        with pytest.raises((BadTransaction, BadSignature)):
            decode_and_verify(spoiled, 1, max_bytes=1 << 20, max_messages=1_024)
    assert seen > 30


def test_every_message_of_ours_is_described_as_it_is_sent() -> None:
    seen = set()
    for name, content in messages():
        if not name.startswith("/"):
            MESSAGES[name].validate(cbor.encode(content))
            refuses(MESSAGES[name], cbor.encode({**content, "unread": 1}))
            seen.add(name)
    assert {name for name in gas.PER_MESSAGE if not name.startswith("/")} - seen == {
        "endpoint.ungrant",
        "lane.prune",
        "lane.receive",
        "suite.stop",  # and its records: test_suites
    }
    ungrant = {"endpoint": bytes(32), "lane": bytes(32), "remote": bytes(32)}
    MESSAGES["endpoint.ungrant"].validate(cbor.encode(ungrant))
    prune = {"client": "07-tendermint-0", "first": 1, "last": 1, "height": "1-1", "proof": b"proof"}
    MESSAGES["lane.prune"].validate(cbor.encode(prune))
    MESSAGES["lane.receive"].validate(cbor.encode({"packet": b"packet", "claim": b"claim", "proof": b"proof"}))


def test_every_action_is_described_and_typed_alike() -> None:
    sent = {c["action"]: c["arguments"] for n, c in messages() if n == "gov.announce"}
    assert set(sent) == {"parameters.set", "account.admit", "packet.settle", "lane.resume", "authority.rotate"}
    for action, arguments in sent.items():
        ACTIONS[action].validate(cbor.encode(arguments))
    values: dict[str, Any] = {"lane": bytes(32), "endpoint": bytes(32), "note": "", "public_key": bytes(32)}
    values |= {
        "suite": 1,
        "balance": 0,
        "parameters": {},
        "subject": "07-tendermint-0",
        "allowed_relayers": (),
        "substitute": "07-tendermint-1",
    }
    values |= {"client": "07-tendermint-0", "packet": b"", "ending": "returned", "evidence": b""}
    values |= {"changes": ((bytes(32), 1),)}
    values |= {"kind": "seal", "height": 0, "least": 2, "families": (), "only": ()}
    values |= {"authority": bytes(32), "parts": (bytes(32),), "next": bytes(32), "possession": bytes(64)}
    for action, fields in governance.ACTIONS.items():
        arguments = {name: values[name] for name in fields}
        ACTIONS[action].validate(cbor.encode(arguments))
        refuses(ACTIONS[action], cbor.encode({**arguments, "x": 1}))


def test_key_records_are_as_described() -> None:
    records = stored(keys.ENDPOINT, b"record/")
    assert len(records) >= 3
    for data in records:
        SIGNED_KEY_RECORD.validate(data)
        KEY_RECORD.validate(cbor.decode(data)[0])
    body, own, previous = cbor.decode(records[0])  # type: ignore[misc]
    value: Any = cbor.decode(body)
    more = cbor.encode({**value, "more": 1})
    refuses(KEY_RECORD, more)
    spoiled = cbor.encode([more, own, previous])
    with pytest.raises(BadKeyRecord):
        verify_next(None, SignedRecord.from_bytes(spoiled))


@pytest.mark.parametrize("rule", KINDS)
def test_records_of_state_are_as_described(rule: str) -> None:
    kind, find = KINDS[rule]
    found = find()
    assert found, f"no {rule} was written"
    for data in found:
        RECORDS[rule].validate(data)
        assert kind.from_bytes(data).to_bytes() == data
    value: Any = cbor.decode(found[0])
    for wrong in ((value[0] + 1, *value[1:]), (*value, 0), value[:-1]):
        refuses(RECORDS[rule], cbor.encode(list(wrong)))
        with pytest.raises(StateDamaged):
            kind.from_bytes(cbor.encode(list(wrong)))


def test_the_domain_statement_is_as_described() -> None:
    for ledger in ledgers():
        value = ledger.chain.view().get(keys.RULES, keys.RULES_DOMAIN)
        assert value is not None
        RECORDS["domain"].validate(value)
