"""Gas of a packet's life on an EVM: `python -m bench gas`, beside what released peers take for theirs.

Send, update, receive, update, acknowledge, with a body of 128 bytes, under three of five signers. Both updates ride in
the transaction that spends them: an attestation is checked once per batch and not stored. Sending is through the
example application, so its calls are inside. Figures are per packet, from receipts: exact, and equal on each run.
"""

from __future__ import annotations

import json
from typing import Any, Final

from tests.interop.evm.world import World, answered, fields, item, make_world, running_node, sent

from bench.report import RESULTS, keep, machine

SNAPSHOT: Final = RESULTS / "gas.json"
BATCHES: Final = (1, 10, 25, 50)
BODY: Final = 128
REACH: Final = {1: 400_000, 25: 170_000}
# Released contracts on the same node, three signers, 128 bytes. Hyperlane 12.1.0 has neither answer nor timeout.
PEERS: Final = {
    "Hyperlane, without acknowledgement": {1: 213_295},
    "IBC v2 attestor client": {1: 651_579, 10: 378_557, 25: 402_888},
}


def life(world: World, count: int, first: int) -> dict[str, int]:
    """Gas of each step for `count` packets, the first of which has sequence `first`; whole transactions."""
    timeout = world.now() + 3600
    bodies = [bytes([at + 1]) * BODY for at in range(count)]
    if count == 1:
        sending = world.echo.functions.ask(world.client_id, "remote", bodies[0], timeout)
    else:
        sending = world.echo.functions.askMany(world.client_id, "remote", bodies, timeout)
    used = {"send": gas(world, sending)}
    out = []
    for at, body in enumerate(bodies):
        packet = world.incoming(first + at, body, timeout=timeout)
        payload = packet.payloads[0]._replace(source_port=world.port, destination_port="remote")
        source, destination = packet.destination_client, packet.source_client
        out.append(packet._replace(payloads=(payload,), source_client=source, destination_client=destination))
    coming = [world.incoming(first + at, body, timeout=timeout) for at, body in enumerate(bodies)]
    proof, height = world.proof([sent(packet) for packet in coming])
    if count == 1:
        used["receive"] = gas(world, world.receive(coming[0], proof, height))
    else:
        items = [item(packet) for packet in coming]
        call = world.host.functions.recvPackets(destination, source, items, proof, height)
        used["receive"] = gas(world, call)
    answers = [bytes([at + 1]) * 32 for at in range(count)]
    proof, height = world.proof([answered(*pair) for pair in zip(out, answers, strict=True)])
    if count == 1:
        ending = world.host.functions.ackPacket((fields(out[0]), answers[0], proof, height))
    else:
        items = [item(packet) for packet in out]
        ending = world.host.functions.ackPackets(source, destination, items, answers, proof, height)
    used["acknowledge"] = gas(world, ending)
    return used


def gas(world: World, call: Any) -> int:
    return int(world.do(call)["gasUsed"])


def measure() -> dict[str, dict[str, int]]:
    """Gas per packet by batch size and step, on a lane that was used before and admitted the application."""
    found = {}
    for node in running_node("--gas-limit", "60000000"):
        for count in BATCHES:
            world = make_world(node)
            world.do(world.host.functions.admit(world.client_id, world.port, True))
            world.advance(3_601)
            life(world, 1, 1)
            used = life(world, count, 2)
            parts = {step: -(-amount // count) for step, amount in used.items()}
            found[str(count)] = {**parts, "total": -(-sum(used.values()) // count)}
    return found


def table(found: dict[str, dict[str, int]]) -> list[str]:
    """The measurement beside the peers', in Markdown."""
    lines = ["| gas per packet | " + " | ".join(f"batch {count}" for count in BATCHES) + " |", "|---|" + "---:|" * 4]
    for step in ("send", "receive", "acknowledge", "total"):
        name = "**Lockgate, life cycle**" if step == "total" else step
        lines.append(f"| {name} | " + " | ".join(f"{found[str(count)][step]:,}" for count in BATCHES) + " |")
    for peer, values in PEERS.items():
        cells = (f"{values[count]:,}" if count in values else "" for count in BATCHES)
        lines.append(f"| {peer} | " + " | ".join(cells) + " |")
    return lines


def kept() -> dict[str, dict[str, int]]:
    """The snapshot in the repository."""
    values: dict[str, dict[str, int]] = json.loads(SNAPSHOT.read_text())["gas"]
    return values


def main() -> None:
    found = measure()
    keep("gas", {"machine": machine(), "gas": found}, table(found))


if __name__ == "__main__":
    main()
