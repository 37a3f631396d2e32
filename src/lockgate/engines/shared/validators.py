"""A ledger's validator sets by height, out of its own state, as light clients compare them."""

from __future__ import annotations

from typing import Final

from lockgate.lightclients.cometbft.types import Validator, ValidatorSet
from lockgate.machine import validators
from lockgate.machine.genesis import Genesis, GenesisValidator
from lockgate.primitives.state import View

KEPT: Final = 8  # sets remembered: blocks need two, readers ask for old ones now and then


class ValidatorSets:
    """Makes each set once. States are those of committed blocks."""

    def __init__(self, genesis: Genesis) -> None:
        self._genesis = genesis
        self._made: dict[int, ValidatorSet] = {}

    def at(self, view: View, height: int) -> ValidatorSet:
        """The set that signs a height; `view` is the state after a block at least two below it, or any later one."""
        record = validators.signing(view, self._genesis, height)
        made = self._made.get(record.signs_from)
        if made is None:
            while len(self._made) >= KEPT:
                del self._made[next(iter(self._made))]
            made = validator_set(tuple(GenesisValidator(key, power) for key, power in record.members))
            self._made[record.signs_from] = made
        return made


def validator_set(members: tuple[GenesisValidator, ...]) -> ValidatorSet:
    """The members in canonical order."""
    return ValidatorSet.of(tuple(Validator.from_key(v.public_key, v.power) for v in members))


__all__ = ("ValidatorSets", "validator_set")
