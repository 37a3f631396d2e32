"""The compiled contracts: `tools/generate_contracts.py` writes the files, `make check` compares them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from typing import Any


@dataclass(frozen=True, slots=True)
class Artefact:
    """A contract's interface, as the Ethereum contract ABI has it in JSON, and its creation code in hex."""

    abi: list[dict[str, Any]]  # JSON: of no fixed depth
    bytecode: str


def artefact(name: str) -> Artefact:
    """Return `host`, `attested` or `echo`. Raises FileNotFoundError for any other name."""
    text = resources.files("lockgate.relay.chains.evm").joinpath(f"{name}.json").read_text()
    values = json.loads(text)
    return Artefact(values["abi"], values["bytecode"])


__all__ = ("Artefact", "artefact")
