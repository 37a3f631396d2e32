"""Every RPC method has the shape that a real CometBFT node gives it (I10).

The node runs the key-value application it ships with; ours is an embedded ledger. Both are asked the same
methods, and the answers must have the same fields with values of the same JSON types, all the way down. What is
empty on one side (null, an empty list or text) says nothing about its inside and is passed over.
"""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from lockgate.crypto import ed25519
from lockgate.lab.endpoints import LabEndpoint
from lockgate.machine import gas
from lockgate.machine.accounts import account_id
from lockgate.machine.genesis import Genesis
from lockgate.machine.transaction import SUITE_ED25519, Transaction, sign
from lockgate.primitives.ids import ChainId
from lockgate.primitives.time import UnixSeconds
from tests.interop.test_cometbft_light import (
    CHAIN_ID,
    Ledger,
    cometbft,  # noqa: F401  # a fixture
    ended,
    free_port,
    running_ledger,
    wait_until,
)

pytestmark = pytest.mark.interop

FAR_FUTURE = UnixSeconds(4_000_000_000)
EMPTY: tuple[Any, ...] = (None, [], "", {})


@pytest.fixture(scope="module")
def node(cometbft: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:  # noqa: F811
    """A real node with the application `kvstore`."""
    home = tmp_path_factory.mktemp("node")
    subprocess.run([cometbft, "init", "--home", home], check=True, capture_output=True)
    address = f"127.0.0.1:{free_port()}"
    command = [
        cometbft, "start", "--home", home, "--proxy_app", "kvstore", "--rpc.laddr", f"tcp://{address}",
        "--p2p.laddr", f"tcp://127.0.0.1:{free_port()}", "--consensus.create_empty_blocks_interval", "1s",
    ]  # fmt: skip
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        started = Ledger(f"http://{address}")
        wait_until(lambda: answers(started), process)
        started.wait_for(3)
        yield started
    finally:
        ended(process)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    yield from running_ledger(tmp_path_factory.mktemp("ours"))


def answers(ledger: Ledger) -> bool:
    try:
        return int(ledger.ask("status")["sync_info"]["latest_block_height"]) > 0
    except (httpx.HTTPError, ValueError):
        return False


def transaction(ledger: Ledger, sequence: int) -> bytes:
    """A transaction that the embedded ledger accepts: a new endpoint registers itself."""
    key = ed25519.SigningKey(b"shapes".ljust(32, b"\0"))
    genesis = Genesis.from_bytes(base64.b64decode(ledger.ask("genesis")["genesis"]["app_state"]["lockgate"]))
    endpoint = LabEndpoint(b"shapes %d" % sequence, (account_id(SUITE_ED25519, key.public_key),))
    messages = (endpoint.register(),)
    unsigned = Transaction(
        domain=genesis.domain_id,
        chain_id=ChainId(CHAIN_ID),
        public_key=key.public_key,
        nonce_lane=0,
        sequence=sequence,
        valid_until=FAR_FUTURE,
        gas_limit=gas.estimate(messages, 4_096),
        fee=0,
        messages=messages,
    )
    return sign(unsigned, 1, key.sign)


def post(ledger: Ledger, method: str, **params: Any) -> Any:
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    answer = httpx.post(ledger.address, json=request, timeout=30).json()
    assert "error" not in answer, answer
    return answer["result"]


def differences(theirs: Any, our: Any, path: str = "") -> list[str]:
    """Where two answers differ in fields or JSON types."""
    if theirs in EMPTY or our in EMPTY:
        return []
    if type(theirs) is not type(our):
        return [f"{path}: {type(theirs).__name__} there, {type(our).__name__} here"]
    if isinstance(theirs, dict):
        found = [f"{path}.{name}: only there" for name in theirs.keys() - our.keys() if theirs[name] not in EMPTY]
        found += [f"{path}.{name}: only here" for name in our.keys() - theirs.keys() if our[name] not in EMPTY]
        for name in theirs.keys() & our.keys():
            found += differences(theirs[name], our[name], f"{path}.{name}")
        return found
    if isinstance(theirs, list):
        return differences(theirs[0], our[0], f"{path}[0]")
    return []


@pytest.fixture(scope="module")
def included(node: Ledger, ours: Ledger) -> dict[str, tuple[int, str]]:
    """One transaction on each side, brought in by `broadcast_tx_commit`: (height, hash in base64)."""
    found = {}
    both = {"node": (node, b"key=value"), "ours": (ours, transaction(ours, 0))}
    done = {}
    for name, (ledger, data) in both.items():
        done[name] = post(ledger, "broadcast_tx_commit", tx=base64.b64encode(data).decode())
        assert done[name]["tx_result"]["code"] == 0, done[name]
        digest = bytes.fromhex(done[name]["hash"])
        found[name] = (int(done[name]["height"]), base64.b64encode(digest).decode())
    assert differences(done["node"], done["ours"]) == []
    for ledger in (node, ours):
        ledger.wait_for(max(height for height, _ in found.values()) + 2)
    return found


PLAIN = ("health", "status", "abci_info", "unconfirmed_txs")
AT_A_HEIGHT = ("header", "block", "block_results", "commit", "validators", "consensus_params")


@pytest.mark.parametrize("method", [*PLAIN, *AT_A_HEIGHT])
def test_a_method_has_the_shape_of_the_real_one(
    node: Ledger, ours: Ledger, included: dict[str, tuple[int, str]], method: str
) -> None:
    params = [{"height": str(included[name][0])} if method in AT_A_HEIGHT else {} for name in ("node", "ours")]
    assert differences(post(node, method, **params[0]), post(ours, method, **params[1])) == []
    assert differences(node.ask(method), ours.ask(method)) == [], "and so by URI, for the newest height"


def test_transactions_are_found_in_the_same_shape(
    node: Ledger, ours: Ledger, included: dict[str, tuple[int, str]]
) -> None:
    looked = [post(ledger, "tx", hash=included[name][1]) for name, ledger in (("node", node), ("ours", ours))]
    assert differences(*looked) == []
    found = [
        post(ledger, "tx_search", query=f"tx.height={included[name][0]}", per_page="5")
        for name, ledger in (("node", node), ("ours", ours))
    ]
    assert [answer["total_count"] for answer in found] == ["1", "1"]
    assert differences(*found) == []
    blocks = [
        post(ledger, "block_search", query=f"block.height={included[name][0]}")
        for name, ledger in (("node", node), ("ours", ours))
    ]
    assert [answer["total_count"] for answer in blocks] == ["1", "1"]
    assert differences(*blocks) == []


def test_queries_and_other_broadcasts_have_the_same_shape(node: Ledger, ours: Ledger) -> None:
    theirs = post(node, "abci_query", path="/key", data=b"key".hex())
    our = post(ours, "abci_query", path="store/rules/key", data=b"domain".hex())
    assert differences(theirs, our) == []
    for sequence, method in enumerate(("broadcast_tx_sync", "broadcast_tx_async"), 1):
        data = transaction(ours, sequence)
        sent = [
            post(ledger, method, tx=base64.b64encode(tx).decode())
            for ledger, tx in ((node, b"%d=value" % sequence), (ours, data))
        ]
        assert differences(*sent) == []
        wait_until(lambda: post(ours, "unconfirmed_txs")["total"] == "0")


def test_failures_have_the_same_shape(node: Ledger, ours: Ledger) -> None:
    for request in (
        {"jsonrpc": "2.0", "id": 1, "method": "no_such_method", "params": {}},
        {"jsonrpc": "2.0", "id": 1, "method": "block", "params": {"height": "99999999"}},
        {"jsonrpc": "2.0", "id": 1, "method": "tx", "params": {"hash": base64.b64encode(bytes(32)).decode()}},
        {"jsonrpc": "2.0", "id": 1, "method": "block", "params": {"height": "no number"}},
    ):
        theirs, our = (httpx.post(ledger.address, json=request, timeout=30).json() for ledger in (node, ours))
        assert differences(theirs, our) == []
        assert theirs["error"]["code"] == our["error"]["code"]


@pytest.mark.parametrize("event", ["NewBlock", "NewBlockHeader", "Tx"])
def test_subscriptions_push_the_same_shape(node: Ledger, ours: Ledger, event: str) -> None:
    number = 10 + ["NewBlock", "NewBlockHeader", "Tx"].index(event)

    async def first(ledger: Ledger, data: bytes) -> Any:
        async with connect(ledger.address.replace("http", "ws") + "/websocket", proxy=None) as socket:
            request = {"jsonrpc": "2.0", "id": 7, "method": "subscribe", "params": {"query": f"tm.event='{event}'"}}
            await socket.send(json.dumps(request))
            assert json.loads(await socket.recv())["result"] == {}
            await asyncio.to_thread(post, ledger, "broadcast_tx_sync", tx=base64.b64encode(data).decode())
            async with asyncio.timeout(30):
                return json.loads(await socket.recv())

    async def both() -> tuple[Any, Any]:
        return await first(node, b"%d=value" % number), await first(ours, transaction(ours, number - 7))

    theirs, our = asyncio.run(both())
    assert theirs["id"] == our["id"]
    if event == "Tx":  # proto JSON leaves out what is zero, and their application uses no gas
        assert our["result"]["data"]["value"]["TxResult"]["result"].pop("gas_used") != "0"
        for zero_there in ("gas_wanted", "data"):
            our["result"]["data"]["value"]["TxResult"]["result"].pop(zero_there)
    theirs["result"].pop("events")  # names and values of the application's own events
    our["result"].pop("events")
    assert differences(theirs, our) == []
