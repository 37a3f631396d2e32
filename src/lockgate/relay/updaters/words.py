"""Words of a host contract on an EVM, proven in the form that a kind of client takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lockgate.courier.ports import Proven
from lockgate.lightclients.evm_storage import WordProofs
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import Height
from lockgate.relay.chains.evm.proofs import StorageProof


def check_words(
    words: WordProofs,
    form: Callable[[StorageProof], bytes],
    height: Height,
    keys: Sequence[bytes],
    found: Sequence[Proven | Exception],
) -> list[Proven | Exception]:
    """What a node proved of each key, in the client's `form` and checked as it will check it, at its `height`.

    A proof that does not hold is that packet's failure, never the batch's.
    """
    checked: list[Proven | Exception] = []
    for key, proven in zip(keys, found, strict=True):
        if isinstance(proven, Exception):
            checked.append(proven)
            continue
        try:
            proof = form(StorageProof.from_bytes(proven.proof))
            if proven.value is None:
                words.non_membership(proof, (key,))
            else:
                words.membership(proof, (key,), proven.value)
        except LockgateError as refusal:
            checked.append(refusal)
        else:
            checked.append(Proven(proven.value, proof, height))
    return checked


__all__ = ("check_words",)
