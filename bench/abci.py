"""The CometBFT application alone, in one process: what a node asks of it for signed packets, and what that costs.

    python -m bench abci
    python -m bench.abci --profile

Requests are bytes, in the order in which a node of a loaded cluster sends them: CheckTx of what arrives,
PrepareProposal in every fourth block, ProcessProposal, FinalizeBlock, Commit, and CheckTx again for what still waits.
Answers are encoded. The store is a file. No socket and no node: those are in `bench.cluster`.
"""

from __future__ import annotations

import cProfile
import json
import pstats
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from bench.cycle import Mock
from bench.peers.cluster_load import MESSAGE, Packets
from bench.report import full_or, keep, machine, shown, spread
from lockgate.codec.wire import abci_pb2 as abci
from lockgate.codec.wire import ibc_client_pb2 as client_wire
from lockgate.codec.wire import tendermint_pb2 as wire
from lockgate.crypto import ed25519
from lockgate.engines.cometbft.application import CometBftApplication
from lockgate.engines.shared.document import genesis_document
from lockgate.engines.shared.validators import validator_set
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.ledgers import LabAccount, LabLedger
from lockgate.lab.paths import create_client_message
from lockgate.machine import keys
from lockgate.machine.machine import APP_VERSION
from lockgate.merkle.multistore import MultiStore
from lockgate.node import collector
from lockgate.primitives.ids import ClientId
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos
from lockgate.relay import pairing
from lockgate.storage.ledger import LedgerStore
from lockgate.storage.nodes import SqliteNodes

VALIDATORS: Final = 4  # of whom each proposes one block in four
BLOCKS: Final = full_or(12, 4)
PER_BLOCK: Final = 100  # transactions
CONNECTIONS: Final = 4  # an account each
WAITING: Final = 3 * PER_BLOCK  # in the mempool after a block: each is checked again after three blocks
ROUNDS: Final = full_or(5, 1)
EACH: Final = (1, 10)  # packets in one transaction
STEPS: Final = ("check", "recheck", "propose", "finalize", "commit")


@dataclass
class Node:
    """What drives one application as a node does."""

    app: CometBftApplication
    now: int
    validators: bytes
    spent: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STEPS, 0.0))
    height: int = 0

    def ask(self, step: str, **request: Any) -> Any:
        """Hand one request over as bytes; returns the answer, counts the processor time between the two."""
        data = abci.Request(**request).SerializeToString()
        begun = time.process_time()
        answer = self.app.answer(abci.Request.FromString(data))
        answer.SerializeToString()
        self.spent[step] += time.process_time() - begun
        kind = answer.WhichOneof("value")
        if kind == "exception":
            raise SystemExit(answer.exception.error)
        return getattr(answer, kind)

    def check(self, transactions: list[bytes], *, again: bool = False) -> None:
        for tx in transactions:
            done = self.ask(
                "recheck" if again else "check",
                check_tx=abci.RequestCheckTx(tx=tx, type=abci.RECHECK if again else abci.NEW),
            )
            if done.code:
                raise SystemExit(done.log)

    def block(self, transactions: list[bytes]) -> list[Any]:
        """One block; returns the results of its transactions."""
        self.height += 1
        self.now += NANOS_PER_SECOND
        when = self.when()
        if not self.height % VALIDATORS:
            proposal = abci.RequestPrepareProposal(
                max_tx_bytes=4 << 20, txs=transactions, height=self.height, time=when
            )
            transactions = list(self.ask("propose", prepare_proposal=proposal).txs)
        proposed = abci.RequestProcessProposal(txs=transactions, height=self.height, time=when)
        self.ask("propose", process_proposal=proposed)
        decided = abci.RequestFinalizeBlock(
            txs=transactions,
            height=self.height,
            time=when,
            next_validators_hash=self.validators,
        )
        done = self.ask("finalize", finalize_block=decided)
        self.ask("commit", commit=abci.RequestCommit())
        for result in done.tx_results:
            if result.code:
                raise SystemExit(result.log)
        return list(done.tx_results)

    def when(self) -> Timestamp:
        whole, rest = divmod(self.now, NANOS_PER_SECOND)
        return Timestamp(seconds=whole, nanos=rest)


def begun(store: LedgerStore, ledger: LabLedger) -> Node:
    """An application on a store, with the first block behind it."""
    genesis = ledger.genesis
    state = MultiStore(keys.STORES, SqliteNodes(store.connection))
    app = CometBftApplication(genesis, store, state, keep_versions=100, applications={"mock": Mock()})
    members = validator_set(genesis.validators)
    node = Node(app, genesis.time, members.hash)
    document = genesis_document(genesis, {})
    begin = abci.RequestInitChain(
        time=node.when(),
        chain_id=genesis.chain_id,
        app_state_bytes=json.dumps(document["app_state"]).encode(),
        initial_height=1,
        consensus_params=wire.ConsensusParams(version=wire.VersionParams(app=APP_VERSION)),
        validators=[
            wire.ValidatorUpdate(pub_key=wire.PublicKey(ed25519=member.public_key), power=member.power)
            for member in genesis.validators
        ],
    )
    node.ask("commit", init_chain=begin)
    node.block([])
    return node


def client(node: Node, ledger: LabLedger) -> ClientId:
    """A client on the application's ledger, with a counterparty: of a ledger that exists for its header alone."""
    far = LabLedger("far-1", SimulatedClock(ledger.genesis.time))
    operator = LabAccount(ed25519.SigningKey(b"operator".ljust(32, b"\0")))
    (made,) = node.block([ledger.signed(operator, [create_client_message(far, operator.id)])])
    (response,) = (each.value for each in wire.TxMsgData.FromString(made.data).msg_responses)
    name = ClientId(client_wire.MsgCreateClientResponse.FromString(response).client_id)
    register = pairing.register_message(name, ClientId("07-tendermint-0"), operator.id)
    node.block([ledger.signed(operator, [register])])
    return name


def load(each: int, profile: cProfile.Profile | None = None) -> dict[str, float]:
    """Milliseconds of processor time for a message, by step."""
    with tempfile.TemporaryDirectory(prefix="lg-") as folder:
        now = UnixNanos(int(time.time()) * NANOS_PER_SECOND)
        ledger = LabLedger("alpha-1", SimulatedClock(now), validators=VALIDATORS)
        store = LedgerStore.open(Path(folder) / "application.sqlite")
        node = begun(store, ledger)
        packets = Packets(ledger.genesis, client(node, ledger), each)
        connections = [deque(packets.make(at, BLOCKS * PER_BLOCK // CONNECTIONS)) for at in range(CONNECTIONS)]
        arriving = [queue.popleft() for _ in range(len(connections[0])) for queue in connections]
        waiting: list[bytes] = []
        node.spent = dict.fromkeys(STEPS, 0.0)
        if profile is not None:
            profile.enable()
        while arriving or waiting:
            fresh, arriving = arriving[:PER_BLOCK], arriving[PER_BLOCK:]
            node.check(fresh)
            waiting += fresh
            if len(waiting) > WAITING or not arriving:
                node.block(waiting[:PER_BLOCK])
                waiting = waiting[PER_BLOCK:]
                node.check(waiting, again=True)
        if profile is not None:
            profile.disable()
        node.app.close()
        store.close()
        messages = BLOCKS * PER_BLOCK * each
        return {step: 1e3 * spent / messages for step, spent in node.spent.items()}


def run() -> dict[str, Any]:
    """Measure, print, keep."""
    report: dict[str, Any] = {"machine": machine(), "blocks": BLOCKS, "per_block": PER_BLOCK, "message_bytes": MESSAGE}
    rows = []
    collector.settle()
    for each in EACH:
        rounds = [load(each) for _ in range(ROUNDS)]
        steps = {step: spread([one[step] for one in rounds]) for step in STEPS}
        rows.append({"packets": each, "ms": steps, "all": spread([sum(one.values()) for one in rounds])})
    report["rows"] = rows
    keep("abci", report, _table(report))
    return report


def _table(report: dict[str, Any]) -> list[str]:
    lines = [f"| packets in a transaction | {' | '.join(STEPS)} | all |", f"|---|{'---|' * len(STEPS)}---|"]
    for row in report["rows"]:
        cells = [shown(row["ms"][step], 3) for step in STEPS]
        lines.append(f"| {row['packets']} | {' | '.join(cells)} | {shown(row['all'], 3)} |")
    note = "Milliseconds of one validator's processor for a message of 128 bytes, median (range) of the rounds."
    return [*lines, "", note]


def profiled() -> None:
    """Say in which functions the time goes."""
    for each in EACH:
        profile = cProfile.Profile(time.process_time)
        load(each, profile)
        print(f"{each} in a transaction")
        pstats.Stats(profile).sort_stats("tottime").print_stats(45)


if __name__ == "__main__":
    if "--profile" in sys.argv:
        profiled()
    else:
        run()
