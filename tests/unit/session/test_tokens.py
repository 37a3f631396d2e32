"""Tokens and the proof of each call: a good world, one spoiling, one reason, and one answer for all of them (P22)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from lockgate.codec import cbor
from lockgate.codec.errors import SchemaMismatch
from lockgate.crypto.errors import WrongPurpose
from lockgate.crypto.keys import IdentityKey, KeyRole
from lockgate.envelope.cose.sign import Sign1
from lockgate.envelope.cose.wire import Wire
from lockgate.keystore.software import OsEntropy
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.time import NANOS_PER_SECOND, UnixSeconds, seconds
from lockgate.session.schemas import CALL, CLAIMS, SHOWN, TOKEN
from lockgate.session.tokens import (
    AGE_S,
    MAX_LIFETIME_S,
    SKEW_S,
    Claims,
    Holder,
    ListUnseen,
    Nonces,
    NotAuthenticated,
    NotInScope,
    Seen,
    Shown,
    issue,
    peek,
)
from lockgate.session.tokens.claims import MAX_METHODS
from lockgate.session.tokens.cwt import MAX_TOKEN, token_digest
from lockgate.session.tokens.errors import (
    IssuerUnknown,
    NonceRefused,
    OtherAudience,
    ProofRefused,
    ScopeTooWide,
    TokenExpired,
    TokenMalformed,
    TokenNotYet,
    TokenRevoked,
    TokenSignature,
    TokenTooLong,
)
from lockgate.session.tokens.nonces import LIVES_S, MOST
from lockgate.session.tokens.proof import MAX_SHOWN
from tests.support.token_world import DOMAIN, REVISION, START, TokenWorld, signer

LANE, SESSION = b"L" * 32, b"S" * 32


@pytest.fixture(params=[1, 2, 3], ids=["Ed25519", "Ed25519+ML-DSA-65", "P-256+ML-DSA-65"])
def world(request: pytest.FixtureRequest) -> TokenWorld:
    return TokenWorld(request.param)


def test_p22_a_call_with_a_token_and_its_proof_is_let_in(world: TokenWorld) -> None:
    admitted = world.admit()
    assert admitted.claims == world.claims
    assert admitted.ends == (START + 300 + SKEW_S) * NANOS_PER_SECOND
    assert len(world.token()) < MAX_TOKEN
    assert peek(world.token()) == world.claims


def _at(**changes: int) -> Callable[[TokenWorld], None]:
    return lambda w: w.say(**{name: UnixSeconds(START + at) for name, at in changes.items()})


def _lane_of_another(w: TokenWorld) -> None:
    w.say(lane=b"M" * 32, session=SESSION)
    w.guard = w.guarded(dataclasses.replace(w.place, lane=LANE, session=SESSION))


def _session_of_another(w: TokenWorld) -> None:
    w.say(lane=LANE, session=b"T" * 32)
    w.guard = w.guarded(dataclasses.replace(w.place, lane=LANE, session=SESSION))


def _forget_lane(w: TokenWorld) -> None:
    w.guard = w.guarded(dataclasses.replace(w.place, lane=LANE))


def _rotated(w: TokenWorld) -> None:
    following = signer(KeyRole.OPERATOR, w.operator.key.suite, 9)
    w.issuers = {following.key.hash: dataclasses.replace(w.issuer(), key=following.key)}


def _stranger(w: TokenWorld) -> None:
    w.operator = signer(KeyRole.OPERATOR, w.operator.key.suite, 8)


def _renamed(w: TokenWorld) -> None:
    w.say(issuer="operator:else")


def _other_domain(w: TokenWorld) -> None:
    w.domain = b"E" * 32


def _restored(w: TokenWorld) -> None:
    w.revision = REVISION - 1


def _granted_less(w: TokenWorld) -> None:
    w.issuers = {w.operator.key.hash: w.issuer(("status",))}


def _stolen(w: TokenWorld) -> None:
    w.holder = signer(KeyRole.HOLDER, w.holder.key.suite, 7)


def _clock_back_after_the_end(w: TokenWorld) -> None:
    w.advance(300 + SKEW_S)
    w.clock.step_wall(-300 * NANOS_PER_SECOND)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda w: w.advance(300 + SKEW_S), TokenExpired),
        (_clock_back_after_the_end, TokenExpired),
        (_at(not_before=SKEW_S + 1), TokenNotYet),
        (_at(issued=SKEW_S + 1), TokenNotYet),
        (lambda w: w.say(audience="host:" + "cd" * 32), OtherAudience),
        (lambda w: w.say(lane=LANE), OtherAudience),
        (lambda w: w.say(session=SESSION), OtherAudience),
        (_lane_of_another, OtherAudience),
        (_session_of_another, OtherAudience),
        (_forget_lane, OtherAudience),
        (_rotated, IssuerUnknown),
        (_stranger, IssuerUnknown),
        (_renamed, IssuerUnknown),
        (_other_domain, TokenSignature),
        (_restored, TokenSignature),
        (_granted_less, ScopeTooWide),
        (_stolen, ProofRefused),
    ],
)
def test_p22_a_token_that_does_not_hold_is_refused_in_one_word(
    world: TokenWorld, spoil: Callable[[TokenWorld], None], reason: type[LockgateError]
) -> None:
    spoil(world)
    with pytest.raises(NotAuthenticated) as refused:
        world.admit()
    assert type(refused.value.__cause__) is reason
    assert str(refused.value) == str(NotAuthenticated())


@pytest.mark.parametrize("late", [0, SKEW_S - 1])
def test_clocks_may_differ_by_the_skew(world: TokenWorld, late: int) -> None:
    world.advance(300 + late)
    world.admit()
    ahead = TokenWorld(world.operator.key.suite)
    ahead.say(not_before=UnixSeconds(START + late + 1), issued=UnixSeconds(START + late + 1))
    ahead.admit()


def test_a_long_token_is_refused_also_where_its_issuer_signed_it(
    world: TokenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.say(expires=UnixSeconds(START + MAX_LIFETIME_S))
    world.admit()
    for times in (
        {"expires": START + MAX_LIFETIME_S + 1},
        {"issued": START - 400},
        {"not_before": START + 301},
        {"issued": START + 10},
    ):
        bad = TokenWorld(world.operator.key.suite)
        bad.say(expires=UnixSeconds(START + 300))
        bad.say(**{name: UnixSeconds(at) for name, at in times.items()})
        if times.keys() == {"issued"} and times["issued"] > START:
            bad.admit()  # to begin before it was issued is no longer than the rest of it
            continue
        with pytest.raises(TokenTooLong):
            bad.token()
        with monkeypatch.context() as patched:
            patched.setattr(Claims, "require_short", lambda self: None)
            token = bad.token()
        call = bad.call()
        with pytest.raises(NotAuthenticated) as refused:
            bad.let_in(bad.shown(call, token), call)
        assert type(refused.value.__cause__) is TokenTooLong


@pytest.mark.parametrize(
    "changed",
    [
        {"method": "send"}, {"path": "host/bob"}, {"body": b'{"to":"mallory"}'}, {"channel": b"another link"},
    ],
)  # fmt: skip
def test_p22_a_proof_is_of_one_call(world: TokenWorld, changed: dict[str, object]) -> None:
    call = world.call()
    shown = world.shown(call)
    with pytest.raises(NotAuthenticated) as refused:
        world.let_in(shown, dataclasses.replace(call, **changed))
    assert type(refused.value.__cause__) is ProofRefused


def test_p22_a_recorded_call_is_good_once(world: TokenWorld) -> None:
    call = world.call()
    shown = world.shown(call)
    world.let_in(shown, call)
    for again in (call, dataclasses.replace(call, nonce=world.nonce())):
        with pytest.raises(NotAuthenticated) as refused:
            world.let_in(shown, again)
        assert type(refused.value.__cause__) is (NonceRefused if again is call else ProofRefused)
    elsewhere = world.call(nonce=world.nonce(Nonces(OsEntropy())))  # a nonce of another connection
    shown = world.shown(elsewhere)
    with pytest.raises(NotAuthenticated):
        world.let_in(shown, elsewhere)


def test_a_nonce_is_used_up_by_a_call_that_was_refused(world: TokenWorld) -> None:
    call = world.call()
    with pytest.raises(NotAuthenticated):
        world.let_in(b"nonsense", call)
    with pytest.raises(NotAuthenticated) as refused:
        world.let_in(world.shown(call), call)
    assert type(refused.value.__cause__) is NonceRefused


def test_nonces_are_few_and_do_not_wait_for_ever() -> None:
    nonces = Nonces(OsEntropy())
    given = [nonces.give(0) for _ in range(MOST + 1)]
    with pytest.raises(NonceRefused):
        nonces.take(given[0], 0)
    nonces.take(given[1], LIVES_S * NANOS_PER_SECOND)
    with pytest.raises(NonceRefused):
        nonces.take(given[2], LIVES_S * NANOS_PER_SECOND + 1)
    with pytest.raises(NonceRefused):
        nonces.take(given[2], 0)


def test_p22_only_methods_that_are_spelt_out_are_allowed(world: TokenWorld) -> None:
    world.say(scope=("inbox",))
    with pytest.raises(NotInScope):
        world.admit()
    for scope in ((), ("*",), ("send", "inbox"), ("send", "send"), ("a b",), ("",), tuple("abcdefgh" * 5)):
        with pytest.raises(TokenMalformed):
            world.say(scope=scope)
    with pytest.raises(TokenMalformed):
        world.say(scope=tuple(f"m{number:03}" for number in range(MAX_METHODS + 1)))


def test_p6_keys_of_other_roles_issue_and_prove_nothing(world: TokenWorld) -> None:
    suite = world.operator.key.suite
    for role in set(KeyRole) - {KeyRole.OPERATOR}:
        with pytest.raises(WrongPurpose):
            issue(world.claims, signer(role, suite), DOMAIN, REVISION)
    world.holder = signer(KeyRole.OPERATOR, suite, 2)
    with pytest.raises(WrongPurpose):
        world.shown(world.call())


def test_p6_one_half_of_a_hybrid_is_none() -> None:
    world = TokenWorld()
    token = world.token()
    first, second = (len(part) for part in (bytes(64), bytes(3309)))
    for place in (token.rindex(bytes([0x58, first])) + 10, len(token) - second // 2):
        call = world.call()
        spoilt = token[:place] + bytes([token[place] ^ 1]) + token[place + 1 :]
        with pytest.raises(NotAuthenticated) as refused:
            world.let_in(world.shown(call, spoilt), call)
        assert type(refused.value.__cause__) in (TokenSignature, TokenMalformed)


def test_every_altered_byte_of_what_is_shown_is_refused() -> None:
    world = TokenWorld(1)
    call = world.call()
    shown = world.shown(call)
    world.let_in(shown, call)
    for place in range(len(shown)):
        call = world.call()
        spoilt = bytearray(world.shown(call))
        spoilt[place] ^= 1 << (place % 8)
        with pytest.raises(NotAuthenticated):
            world.let_in(bytes(spoilt), call)


CNF_ED25519 = {1: {1: 1, 3: -8, -1: 6, -2: signer(KeyRole.HOLDER, 1, 2).key.parts[0]}}


@pytest.mark.parametrize(
    ("label", "value"),
    [
        (1, 7), (1, ""), (1, "x" * 161), (1, "a b"), (2, b"x"), (3, None), (3, "ü"), (4, -1), (4, True),
        (4, 1 << 63), (5, "now"), (6, None), (7, b"short"), (7, "t" * 16), (8, {}), (8, {3: b"short"}), (8, {1: {}}),
        (8, {2: b"x" * 32}), (8, {1: {1: 1, -1: 6}}), (8, {1: {1: 4, -1: b"k" * 32}}),
        (8, {1: {**CNF_ED25519[1], -4: b"d" * 32}}), (8, {1: {**CNF_ED25519[1], 2: b"kid"}}),
        (8, {**CNF_ED25519, 3: b"h" * 32}), (8, {1: {1: 1, 3: -8, -1: 4, -2: b"x" * 32}}),
        (8, {1: {1: 1, 3: -8, -1: 6, -2: bytes(32)}}), (9, b"status"), (9, ""), (9, "status  send"), (9, " status"),
        (9, "*"), (10, 1), (-70_101, b"short"), (-70_101, None), (-70_102, "x"), ("private", 1),
    ],
)  # fmt: skip
def test_claims_of_another_form_are_refused(label: int | str, value: object) -> None:
    claims = TokenWorld(1).claims
    good = cbor.decode(claims.encode())
    assert Claims.decode(cbor.encode(good)) == claims
    with pytest.raises(TokenMalformed):
        Claims.decode(cbor.encode({**good, label: value}))
    if isinstance(label, int) and 0 < label < 10:
        with pytest.raises(TokenMalformed):
            Claims.decode(cbor.encode({name: each for name, each in good.items() if name != label}))


def test_bounds_hold_before_anything_is_decoded(world: TokenWorld) -> None:
    shown = world.shown(world.call())
    assert len(shown) < MAX_SHOWN
    assert Shown.decode(shown).encode() == shown
    for data in (b"", b"\x80", bytes(MAX_SHOWN + 1), cbor.encode([b"", None, 1]), cbor.encode([b"", [2, []], b""])):
        with pytest.raises(TokenMalformed):
            Shown.decode(data)
    with pytest.raises(TokenMalformed):
        Shown.decode(cbor.encode([bytes(MAX_TOKEN + 1), None, b""]))
    for data in (b"", b"\xd8\x3d", bytes(MAX_TOKEN + 1), world.token()[2:], b"\xd8\x3d\xd1" + world.token()[3:]):
        with pytest.raises(TokenMalformed):
            peek(data)


def test_a_token_has_a_length() -> None:
    token = TokenWorld(1).token()
    signed = Sign1.decode(token[2:], Wire.OURS)
    for size in (64, MAX_TOKEN - len(token) + 63, MAX_TOKEN):
        grown = token[:2] + dataclasses.replace(signed, signature=bytes(size)).encode()
        if len(grown) <= MAX_TOKEN:
            peek(grown)
        else:
            with pytest.raises(TokenMalformed, match="too long"):
                peek(grown)


def test_a_holder_is_one_key(world: TokenWorld) -> None:
    holder, other = world.claims.holder, signer(KeyRole.HOLDER, world.holder.key.suite, 5).key
    assert Holder.from_value(cbor.decode(cbor.encode(holder.to_value()))) == holder
    shown: IdentityKey | None = None if world.holder.key.suite == 1 else world.holder.key
    assert holder.confirmed(shown) == world.holder.key
    assert holder.confirmed(other) is None
    if shown is not None:
        assert holder.confirmed(None) is None


def test_a_place_is_all_of_it() -> None:
    world = TokenWorld(1)
    world.guard = world.guarded(dataclasses.replace(world.place, lane=LANE, session=SESSION))
    world.say(lane=LANE, session=SESSION)
    assert world.admit().claims.lane == LANE


def test_tokens_and_what_goes_with_calls_are_as_their_schema_says(world: TokenWorld) -> None:
    world.say(lane=LANE, session=SESSION)
    token, call = world.token(), world.call()
    shown = world.shown(call)
    for schema, data in (
        (TOKEN, token), (CLAIMS, world.claims.encode()), (SHOWN, shown), (CALL, call.message(token_digest(token))),
    ):  # fmt: skip
        schema.validate(data)
        with pytest.raises(SchemaMismatch):
            schema.validate(cbor.encode([data]))


def _token_revoked(w: TokenWorld) -> None:
    w.seen = Seen(frozenset({w.claims.token_id}), w.clock.now())


def _key_revoked(w: TokenWorld) -> None:
    w.seen = Seen(frozenset({bytes(w.operator.key.hash)}), w.clock.now())


@pytest.mark.parametrize("spoil", [_token_revoked, _key_revoked])
@pytest.mark.parametrize("later", [0, AGE_S + 1])
def test_p22_what_is_on_the_list_is_refused_however_old_the_list_is(
    world: TokenWorld, spoil: Callable[[TokenWorld], None], later: int
) -> None:
    world.admit()
    spoil(world)
    world.clock.advance(seconds(later))
    with pytest.raises(NotAuthenticated) as refused:
        world.admit()
    assert type(refused.value.__cause__) is TokenRevoked


def test_p22_without_a_fresh_list_only_a_fresh_token_is_taken(world: TokenWorld) -> None:
    """So a revoked token is let in for a minute at most after its revocation, whether or not its ledger is seen."""
    for seen in (world.seen, None):
        bad = TokenWorld(world.operator.key.suite)
        bad.seen = seen
        bad.clock.advance(seconds(AGE_S))
        bad.admit()
        bad.clock.advance(seconds(1))
        with pytest.raises(ListUnseen):
            bad.admit()
        bad.say(issued=UnixSeconds(START + AGE_S), not_before=UnixSeconds(START + AGE_S))
        bad.admit()
    world.advance(AGE_S + 1)
    world.admit()
    stolen = TokenWorld(world.operator.key.suite)
    stolen.seen, stolen.holder = None, signer(KeyRole.HOLDER, stolen.holder.key.suite, 7)
    stolen.clock.advance(seconds(AGE_S + 1))
    with pytest.raises(NotAuthenticated):  # who has not the key learns nothing of the list
        stolen.admit()


def test_what_was_let_in_ends_with_its_token_or_when_that_is_revoked(world: TokenWorld) -> None:
    admitted = world.admit()
    assert world.guard.left(admitted, world.moment()) == 300 + SKEW_S
    world.advance(300 + SKEW_S - 1)
    assert world.guard.left(admitted, world.moment()) == 1
    world.advance(2)
    assert world.guard.left(admitted, world.moment()) == 0
    other = TokenWorld(world.operator.key.suite)
    admitted = other.admit()
    _token_revoked(other)
    assert other.guard.left(admitted, other.moment()) == 0
