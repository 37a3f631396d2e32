"""A story: one ledger of three runs another machine than ours, sends what ours never sends, and floods as well.

    DeviatingPeer(seed).run().check(*EVERY, Degraded(), Undisturbed(DeviatingPeer(seed, quiet=True).run()))

Its lane is degraded by the rules of the ledger in the middle, in steps, and comes back by them; the other lane
keeps its promises and its speed. The relayers are honest and ours: they bring whatever is committed. A `quiet` run
of a seed has the same traffic on the other lane, and nothing on the deviating one.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from lockgate.codec.type_urls import MSG_SEND_PACKET
from lockgate.codec.wire import ibc_channel_pb2 as wire
from lockgate.engines.embedded.chain import EmbeddedChain
from lockgate.ibc.ports import Admission, Ending, Gate, Passage
from lockgate.ibc.wiring import Wiring
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.disk import Fuse
from lockgate.lab.draws import Draws
from lockgate.lab.entropy import SeededEntropy
from lockgate.lab.events import EventLog
from lockgate.lab.guests import order
from lockgate.lab.history import History
from lockgate.lab.journal import Journal
from lockgate.lab.loop import run as run_loop
from lockgate.lab.loop import spawn
from lockgate.lab.network import Network
from lockgate.lab.origin import account
from lockgate.lab.outcome import Outcome
from lockgate.lab.parties import HostParty, LedgerParty, RelayerParty, Surroundings, submitter_of
from lockgate.lab.star import MIDDLE, Star, star
from lockgate.machine import lanes
from lockgate.machine.gate import PAYLOAD_ENCODING, PAYLOAD_VERSION
from lockgate.machine.genesis import Parameters
from lockgate.machine.packets import PacketLayer
from lockgate.machine.records import LaneOrder
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.state import Outcome as Decided
from lockgate.primitives.state import View
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos, seconds
from lockgate.relay.chains.cometbft import CometBftChain

NAME: Final = "deviating"
PEER: Final = "gamma"
RULES: Final = Parameters(
    deviation_slow_at=3,
    deviation_quarantine_at=8,
    deviation_freeze_at=3,
    deviation_window_ns=seconds(10),
    deviation_slowed_ns=seconds(5),
    deviation_quarantined_ns=seconds(12),
    deviation_clean_ns=seconds(300),
    deviation_slowed_room=4,
)
TALKS_S: Final = 30  # longer than a quarantine, so that the lane is seen to come back
DEVIATES_FROM_S: Final = 3
FLOOD: Final = 40  # messages at once
LANE: Final = 8
BOUND_S: Final = 240
LOOK_S: Final = 2.0
TIMEOUT_S: Final = 90


class _AnythingGoes:
    """Meets `ibc.ports.Gate`: what an account asks to be sent is sent; the rest is as the true gate decides."""

    def __init__(self, true: Gate) -> None:
        self._true = true

    def on_send(self, view: View, passage: Passage, /) -> Decided:
        lane = lanes.lane_of(view, passage.packet.source_client)
        return Decided() if lane is None else lanes.opened(view, lane, passage.packet)

    def on_receive(self, view: View, passage: Passage, /) -> Admission:
        return self._true.on_receive(view, passage)

    def on_settled(self, view: View, passage: Passage, ending: Ending, /) -> Decided:
        return self._true.on_settled(view, passage, ending)


class _OtherPackets(PacketLayer):
    """The packet layer of a release with a defect, or of a ledger that was taken over."""

    def _wiring(self, *, from_answer: bool) -> Wiring:
        wiring = super()._wiring(from_answer=from_answer)
        return wiring if from_answer else replace(wiring, gate=_AnythingGoes(wiring.gate))


class DeviatingLedger(LedgerParty):
    """A ledger whose machine is not ours in one place."""

    def prepare(self, chain: EmbeddedChain) -> None:
        chain.machine.packets = _OtherPackets({})


class DeviatingPeer:
    """One seed of the story. `run` carries it out, once."""

    def __init__(self, seed: int, *, quiet: bool = False) -> None:
        self.seed, self.quiet = seed, quiet
        entropy = SeededEntropy(b"lockgate story %s %d" % (NAME.encode(), seed))
        self.draws = Draws(entropy.fork("plan"))
        self.star: Star = star(RULES)
        self.clock = SimulatedClock(UnixNanos(self.star.time + seconds(1)))
        self.log = EventLog(self.clock)
        self.journal = Journal(b"in-the-clear-" + self.draws.bytes(6).hex().encode())
        ledgers: dict[str, LedgerParty] = {}
        network = Network(ledgers, self.draws.fork("network"), self.log, self.journal)
        self.world = Surroundings(self.clock, self.log, entropy, network, self.journal, Fuse(lambda: None))
        for name, origin in self.star.ledgers.items():
            ledgers[name] = (DeviatingLedger if name == PEER else LedgerParty)(origin, self.world)
        self.ledgers = list(ledgers.values())
        self.hosts = [HostParty(origin, self.world) for origin in self.star.hosts.values()]
        self.relayers = [
            RelayerParty(
                f"relayer-{far}", lane, {name: account(f"relayer {far} {name}") for name in (MIDDLE, far)}, self.world
            )
            for far, lane in self.star.lanes.items()
        ]
        self.log.add("run", "seed", {"seed": seed, "story": NAME, "quiet": quiet})

    def run(self) -> Outcome:
        """Carry the story out and return what is to be checked."""
        return run_loop(self.clock, self._run)

    async def _run(self) -> Outcome:
        parties = [*self.ledgers, *self.hosts, *self.relayers]
        for party in parties:
            party.start()
        alice, bob, carol = self.hosts
        doings = [spawn(None, self._talk(alice, "bob")), spawn(None, self._talk(bob, "alice"))]
        if not self.quiet:
            doings += [
                spawn(None, self._talk(alice, "carol")),
                spawn(None, self._talk(carol, "alice")),
                spawn(None, self._deviate(carol)),
            ]
        await asyncio.gather(*doings)
        deviating = frozenset() if self.quiet else frozenset({PEER})
        history = History(self.ledgers, self.hosts, lanes=self.star.clients(), deviating=deviating)
        waited = 0.0
        while not (settled := history.settled()) and waited < BOUND_S:
            await asyncio.sleep(LOOK_S)
            waited += LOOK_S
        self.log.add("run", "end", {"settled": settled})
        for party in parties:
            if party.failure is not None:
                raise party.failure
            await party.stop()
        self.log.close()
        return Outcome(self.seed, TALKS_S, self.log, self.journal, history, "ledger", LaneOrder.UNORDERED, NAME)

    async def _talk(self, host: HostParty, to: str) -> None:
        """A message about every second, for the whole story."""
        draws, number = self.draws.fork(f"talk/{host.name}/{to}"), 0
        loop = asyncio.get_running_loop()
        end = loop.time() + TALKS_S
        while loop.time() < end:
            await asyncio.sleep(draws.delay_s(500, 1_500))
            spawn(None, self._send(host, to, f"{number}"))
            number += 1

    def _flood(self, host: HostParty) -> None:
        """Messages that the other guest leaves waiting, as many at once as make an inbox full."""
        for number in range(FLOOD):
            spawn(None, self._send(host, "alice", f"flood {number}", "defer"))

    async def _send(self, party: HostParty, to: str, number: str, what: str = "reply") -> None:
        words = "|".join((self.journal.marker.decode(), party.name, to, number, what))
        if party.host is None:
            return
        try:
            answer = await party.host.command(order(to, words.encode(), TIMEOUT_S))
        except LockgateError as error:
            self.log.add(party.name, "not-sent", {"code": error.code})
        else:
            self.log.add(party.name, "sent", answer)

    async def _deviate(self, host: HostParty) -> None:
        """The peer's operator has packets sent that name endpoints twice, past the quarantine; one host floods.

        The flood comes when the lane is slowed: that is when its room is small.
        """
        draws = self.draws.fork("deviate")
        ledger = next(party for party in self.ledgers if party.name == PEER)
        chain = CometBftChain(
            self.world.network.link("operator", PEER, self.world.always), ledger.origin.genesis.chain_id
        )
        submitter = submitter_of(chain, ledger.origin.genesis.domain_id, account("operator of gamma"), LANE)
        await asyncio.sleep(DEVIATES_FROM_S)
        for count in range(RULES.deviation_quarantine_at + draws.between(0, RULES.deviation_slow_at)):
            if count == RULES.deviation_slow_at:
                self._flood(host)
            await asyncio.sleep(draws.delay_s(200, 1_000))
            done = await submitter.submit([(MSG_SEND_PACKET, self._impossible(ledger, submitter.signer))])
            self.log.add(PEER, "deviates", {"code": done.code})
            assert done.code == 0, done.log

    def _impossible(self, ledger: LedgerParty, signer: str) -> bytes:
        payload = wire.Payload(
            source_port=self.star.hosts["carol"].endpoint.port,
            destination_port=self.star.hosts["alice"].endpoint.port,
            version=PAYLOAD_VERSION,
            encoding=PAYLOAD_ENCODING,
            value=self.draws.bytes(64),
        )
        message = wire.MsgSendPacket(
            source_client=ledger.origin.client,
            timeout_timestamp=self.clock.now() // NANOS_PER_SECOND + TIMEOUT_S,
            payloads=[payload, payload],
            signer=signer,
        )
        return message.SerializeToString(deterministic=True)


__all__ = ("NAME", "PEER", "RULES", "DeviatingLedger", "DeviatingPeer")
