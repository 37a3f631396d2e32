"""`lockgate trace`, `prove`, `verify`: what became of a packet, for people, as a proof, and checked."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lockgate.cli import output
from lockgate.cli.context import Settings, await_, guard, run, show
from lockgate.cli.names import complete_ledger

if TYPE_CHECKING:
    from lockgate.node.story import Step, Story

Packet = Annotated[str, typer.Argument(help="LEDGER/CLIENT/SEQUENCE, a trace id, or the ref that `send` printed.")]
OnLedger = Annotated[
    str, typer.Option("--ledger", help="The ledger that sent it, for CLIENT/SEQUENCE.", autocompletion=complete_ledger)
]
Nodes = Annotated[
    list[str] | None, typer.Option("--rpc", help="A ledger's node by address, beside those of the data folder.")
]
SHOWN = 16  # hex digits of a hash in a table


def trace(
    packet: Packet,
    ledger: OnLedger = "",
    rpc: Nodes = None,
    follow: Annotated[bool, typer.Option("--follow", help="Watch until the packet has ended.")] = False,
) -> None:
    """Tell a packet's whole life: what happened, signed by whom, who must act now, why it was refused."""
    from lockgate.node.clock import SystemClock
    from lockgate.node.ledgers import Ledgers
    from lockgate.node.packets import parse
    from lockgate.node.trace import Tracer

    name = guard(lambda: parse(packet, ledger))

    async def work() -> None:
        async with Ledgers(Settings.folder, tuple(rpc or ())) as ledgers:
            tracer = Tracer(ledgers, SystemClock())
            if not follow:
                _show_story(await tracer.story(name))
                return
            told = 0
            async for story in tracer.follow(name):
                if Settings.as_json:
                    output.print_json(asdict(story))
                    continue
                for step in story.steps[told:]:
                    output.say(_line(step))
                told = len(story.steps)
                output.say(_standing(story))

    run(work)


def prove(
    packet: Packet,
    ledger: OnLedger = "",
    rpc: Nodes = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; by default named after the packet.")
    ] = None,
    start: Annotated[int, typer.Option("--from", help="Height of the header that trust starts from.")] = 0,
) -> None:
    """Write an offline proof of what became of a packet: sent, received, acknowledged, refused, timed out."""
    from lockgate.node.clock import SystemClock
    from lockgate.node.findings import Finding, verify
    from lockgate.node.folder import write_file
    from lockgate.node.ledgers import Ledgers
    from lockgate.node.packets import parse
    from lockgate.node.prove import build
    from lockgate.node.trace import Tracer

    name = guard(lambda: parse(packet, ledger))

    async def work() -> tuple[Path, Finding]:
        async with Ledgers(Settings.folder, tuple(rpc or ())) as ledgers:
            life = await Tracer(ledgers, SystemClock()).life(name)
            data = await build(life, Settings.folder, start)
            path = out or Path(f"{life.source.name}-{life.packet.source_client}-{life.packet.sequence}.bundle")
            write_file(path, data)
            return path, verify(data)

    path, finding = await_(work)
    if Settings.as_json:
        output.print_json({"file": str(path), **asdict(finding)})
    else:
        output.say(f"{path}: {finding.sentence()}")


def verify(
    bundles: Annotated[list[Path] | None, typer.Argument(help="Proof bundles, checked without any node.")] = None,
    trust: Annotated[
        list[str] | None, typer.Option(help="Hash (hex) of a header to start trust from; one for each ledger.")
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            help="Check a stopped ledger's whole store instead; names the first bad height.",
            autocompletion=complete_ledger,
        ),
    ] = None,
) -> None:
    """Verify proof bundles offline, or a ledger's store."""
    from lockgate.node import check

    if store is not None:
        show(guard(lambda: check.store(Settings.folder, store)))
        return
    if not bundles:
        raise typer.BadParameter("name a bundle, or a ledger with --store")
    findings = []
    for path in bundles:
        finding = guard(lambda path=path: check.bundle(path, tuple(trust or ())))  # type: ignore[misc]  # a default argument binds it
        findings.append({"file": str(path), **asdict(finding)})
        if not Settings.as_json:
            output.say(finding.sentence())
    if Settings.as_json:
        output.print_json(findings)


def _show_story(story: Story) -> None:
    if Settings.as_json:
        output.print_json(asdict(story))
        return
    sender, receiver = story.sender[:SHOWN], story.receiver[:SHOWN]
    lines = [f"Packet {story.packet}   trace {story.trace_id}"]
    lines.append(f"from {sender}… on {story.source} to {receiver}… on {story.destination}")
    lines.append(f"{story.size} bytes sealed, times out at {story.timeout}")
    if story.sealing is not None:
        lines.append(story.sealing.words)
    output.say("\n  ".join(lines))
    for number, step in enumerate(story.steps, 1):
        output.say(_line(step, last=number == len(story.steps)))
    output.say(_standing(story))


def _line(step: Step, *, last: bool = False) -> str:
    """One step: when, where and what; under it the header that carries it, and who signed that."""
    note = f": {step.note}" if step.note else ""
    by = f"under header {step.header[:8]}…, {step.signed}" if step.header else "the header that carries it is due"
    first, more = ("└─", "  ") if last else ("├─", "│ ")
    what = step.what.replace("_", " ")
    return f"  {first} {step.time}  {step.ledger} {step.height}  {what}{note}\n  {more}   {by}"


def _standing(story: Story) -> str:
    at = story.standing
    lines = [f"State: {at.state.replace('_', ' ')}"]
    if at.suspended:
        lines.append(f"Suspended: {at.suspended}. {at.who} may act: {at.why}.")
    elif not at.ended:
        lines.append(f"Waits for {at.who}: {at.why}.")
    if story.refusal is not None:
        sealed = f" {story.refusal.sealed} bytes of detail are sealed to the sender." if story.refusal.sealed else ""
        lines.append(f"Refused with {story.refusal.code}: {story.refusal.meaning}{sealed}")
        lines.append(f"Next: {story.refusal.next_step}")
    return "\n".join(lines)
