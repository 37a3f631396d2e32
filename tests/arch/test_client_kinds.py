"""A new kind of light client is one folder and one line of wiring: counted, and tried with a kind of our own."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockgate.codec import type_urls as urls
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.ledgers import LabLedger
from lockgate.lab.paths import End, expect
from lockgate.lightclients.attested import AttestedClient, ConsensusState, states
from lockgate.lightclients.attested.messages import ATTESTATION, encode_attestation
from lockgate.lightclients.forms import unwrap_any, wrap_any
from lockgate.machine import clients
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.state import Outcome, View
from lockgate.primitives.time import UnixNanos
from lockgate.relay.kinds import KINDS
from tests.arch.sources import PACKAGE, REPO, python_files, relative, text_of
from tests.support.attested_lab import attestation, attested_state, client_message, create
from tests.support.lab import START, account

WIRING = REPO / "src" / "lockgate" / "machine" / "clients.py"
FOLDERS = REPO / "src" / "lockgate" / "lightclients"
NEW_KINDS = {"attested": "AttestedClient", "composite": "CompositeClient", "ethereum": "EthereumClient"}
# Who makes what a kind verifies, as a ledger's engine makes headers: it shares the formats and knows no client.
MAKERS = {"ethereum": {"src/lockgate/lab/beacon.py"}}
TOY_STATE = "/toy.ClientState"


def outside(kind: str) -> Iterator[Path]:
    """What a ledger's machine is made of; who brings clients forward knows kinds by a file and an entry each."""
    return (path for path in python_files("src") if FOLDERS / kind not in path.parents and not _brings(path))


def _brings(path: Path) -> bool:
    above = {"courier", "relay", "hosting", "node", "cli", "lab"}
    return path.relative_to(PACKAGE).parts[0] in above


@pytest.mark.parametrize("kind", NEW_KINDS)
def test_only_the_wiring_imports_a_kind(kind: str) -> None:
    package = f"lockgate.lightclients.{kind}"
    importing = {
        relative(path)
        for path in outside(kind)
        for node in ast.walk(ast.parse(text_of(path)))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").startswith(package))
        or (isinstance(node, ast.Import) and any(alias.name.startswith(package) for alias in node.names))
    }
    assert importing - MAKERS.get(kind, set()) == {relative(WIRING)}


@pytest.mark.parametrize("name", NEW_KINDS.values())
def test_a_kind_is_one_line_beside_its_import(name: str) -> None:
    kind = next(kind for kind, each in NEW_KINDS.items() if each == name)
    lines = [line for path in outside(kind) for line in text_of(path).splitlines() if name in line]
    wired = [line for line in lines if not line.startswith("from ")]
    assert (len(lines), len(wired)) == (2, 1), lines


@pytest.mark.parametrize("kind", ["tendermint", *NEW_KINDS])
def test_a_relayer_needs_a_file_and_an_entry_for_a_kind(kind: str) -> None:
    """`relay.kinds` and the updater; what speaks to attestors is more than a relayer's alone."""
    assert (PACKAGE / "relay" / "updaters" / f"{kind}.py").exists()
    entries = re.findall(r"^\s+Kind\(", text_of(PACKAGE / "relay" / "kinds.py"), re.M)
    assert len(entries) == len(KINDS)
    assert {"tendermint": "07-tendermint"}.get(kind, kind) in KINDS


class ToyClient(AttestedClient):
    """A kind of its own name and type URLs; what it verifies is the attested kind's."""

    __slots__ = ()
    client_type = "99-toy"  # type: ignore[misc]  # final in the kind that this one borrows from
    client_state_url = TOY_STATE  # type: ignore[misc]

    def initialise(
        self, view: View, client_id: ClientId, state: bytes, consensus: bytes, now: UnixNanos, own: Height, /
    ) -> Outcome:
        return super().initialise(
            view, client_id, wrap_any(states.CLIENT_STATE, unwrap_any(state, TOY_STATE)), consensus, now, own
        )


def test_a_kind_that_is_wired_by_one_line_works_on_a_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "KINDS", (*clients.KINDS, ToyClient))
    clock = SimulatedClock(START)
    on, of = End(LabLedger("alpha-1", clock), account("a")), LabLedger("beta-1", clock)
    state = attested_state(of)
    header = of.chain.signed_header(of.height).header
    first = states.encode_consensus_state(ConsensusState(header.time, header.app_hash))
    raw = wrap_any(TOY_STATE, unwrap_any(states.encode_client_state(state), states.CLIENT_STATE))
    expect(create(on, raw, first))
    assert on.client == "99-toy-0"
    of.block()
    value = encode_attestation(attestation(of, state, of.height))
    updated = expect(on.ledger.transact(on.account, client_message(on, ATTESTATION, value)))
    assert "update_client" in [event.type for event in updated.events]
    kinds = on.ledger.chain.machine.packets.kinds
    assert kinds.latest_height(on.ledger.chain.view(), on.client) == of.at(of.height)
    assert urls.MSG_UPDATE_CLIENT
