"""What a stopped validator's store says, checked against itself (I14). Its blocks are CometBFT's to check.

Each kept root must be the one in the next own header, each header announce the validators that the state says sign
next, and the links of headers end in the state's. So whoever alters a row must alter the state, and the state has
the root that the other validators have.
"""

from __future__ import annotations

from lockgate.engines.cometbft.headers import KeptHeaders
from lockgate.engines.shared.audit import StoreTampered, read_all
from lockgate.engines.shared.ports import AppStore
from lockgate.engines.shared.validators import ValidatorSets
from lockgate.machine import history, keys
from lockgate.machine.genesis import Genesis
from lockgate.machine.history import TrailRecord
from lockgate.merkle.multistore import MultiStore
from lockgate.primitives.errors import LockgateError


def check(genesis: Genesis, store: AppStore, state: MultiStore) -> dict[int, bytes]:
    """Walk headers, roots and the newest state; returns the kept roots by height.

    Raises StoreTampered with the height.
    """
    height = state.version
    roots: dict[int, bytes] = {}
    try:
        for at in range(max(state.oldest, 1), height + 1):
            roots[at] = state.hash_at(at)
    except LockgateError as error:
        raise StoreTampered("a root record does not read", height=at, cause=error.code) from error
    read_all(state, store.body)
    _check_headers(genesis, KeptHeaders(genesis, store), state, roots)
    return roots


def _check_headers(genesis: Genesis, headers: KeptHeaders, state: MultiStore, roots: dict[int, bytes]) -> None:
    height, sets = state.version, ValidatorSets(genesis)
    if not height:
        return
    first = headers.first(height)
    bound = headers.bound
    link = b""
    time = 0
    for at in range(first, height + 1):
        try:
            own = headers.read(at)
            before = headers.link(at - 1) if bound and at == first else link
            stored = headers.link(at) if bound else b""
        except (LockgateError, ArithmeticError, AssertionError, LookupError, TypeError, ValueError) as error:
            raise StoreTampered("a header does not read", height=at, cause=type(error).__name__) from error
        if own is None:
            raise StoreTampered("a header is missing", height=at)
        if own.time <= time:
            raise StoreTampered("time does not rise", height=at)
        if own.next_validators_hash != sets.at(state, at + 1).hash:
            raise StoreTampered("a header announces other validators", height=at)
        if at - 1 in roots and roots[at - 1] != own.app_hash:
            raise StoreTampered("the state's root is another", height=at - 1)
        time = own.time
        link = history.follow(before, at, own) if bound else b""
        if link != stored:
            raise StoreTampered("a link over headers is another", height=at)
        if bound and at in roots:
            _check_link(state, at, link)


def _check_link(state: MultiStore, height: int, link: bytes) -> None:
    data = state.view(height).get(keys.LOG, keys.TRAIL)
    if data is None:
        return
    trail = TrailRecord.from_bytes(data)
    if trail.height == height and trail.link != link:
        raise StoreTampered("the headers are not those that the state binds", height=height)


__all__ = ("check",)
