"""What applications may take of a call's gas: each named it when it bound its port, and gets no more.

An estimate shows what they took in a simulation, and an application can tell that from a block. So what may be taken is
brought along, and whoever takes more than he showed has no other packet of the batch fail.
Source: contracts/modules/applications.vy; the compiler's storage layout of contracts/host.vy.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from lockgate.crypto.keccak import keccak256
from lockgate.relay.chains.evm import answers
from lockgate.relay.chains.evm.answers import hexed
from lockgate.relay.chains.evm.chain import EvmChain
from lockgate.relay.chains.evm.node import ask_all

PORTS_SLOT: Final = 2**256 - 2**64 + 3  # of `applications.ports`: by keccak256 of the port, app | gas << 160
APP: Final = 2**160 - 1
KNOWN: Final = 4_096  # ports that are remembered; a port is bound once


class Ports:
    """Of one host contract."""

    def __init__(self, chain: EvmChain) -> None:
        self._chain = chain
        self._known: dict[str, int] = {}

    async def gas_of(self, ports: Collection[str]) -> int:
        """The most that a call of each of them takes together; a port that is not bound takes nothing."""
        new = sorted(set(ports) - self._known.keys())
        calls = [("eth_getStorageAt", [hexed(self._chain.host), hexed(_slot(port)), "latest"]) for port in new]
        read = zip(new, await ask_all(self._chain.node, calls) if calls else [], strict=True)
        found = {port: _bound(port, int.from_bytes(answers.exactly(json, 32))) for port, json in read}
        total = sum(found[port] if port in found else self._known[port] for port in ports)
        if len(self._known) + len(found) > KNOWN:
            self._known.clear()
        self._known |= {port: gas for port, gas in found.items() if gas}
        return total


def _slot(port: str) -> bytes:
    return keccak256(PORTS_SLOT.to_bytes(32) + keccak256(port.encode()))


def _bound(port: str, value: int) -> int:
    """A port is its application's address, so that no other slot passes for it."""
    return value >> 160 if value and port == f"0x{value & APP:040x}" else 0


__all__ = ("PORTS_SLOT", "Ports")
