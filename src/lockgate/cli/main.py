"""Verbs of the `lockgate` command."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from lockgate import __version__
from lockgate.cli import output
from lockgate.node.folder import Folder
from lockgate.primitives.errors import LockgateError, Refused, error_codes

app = typer.Typer(
    help="Sealed, proven messages between isolated execution environments and their ledgers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
ledger_app = typer.Typer(help="Run and check embedded ledgers.", no_args_is_help=True)
host_app = typer.Typer(help="Run an endpoint's host, and ask it.", no_args_is_help=True)
relay_app = typer.Typer(help="Run a relayer, see what waits, clear a backlog.", no_args_is_help=True)
guest_app = typer.Typer(help="Write guests: new project, build, test.", no_args_is_help=True)
app.add_typer(ledger_app, name="ledger")
app.add_typer(host_app, name="host")
app.add_typer(relay_app, name="relay")
app.add_typer(guest_app, name="guest")

T = TypeVar("T")
DEFAULT_DATA = Path(".lockgate")


class UnknownCode(Refused):
    code = "explain.unknown_code"
    summary = "No failure has that code."
    next_step = "List every code with `lockgate explain`."


class Settings:
    """Options that stand before the verb."""

    folder = Folder(DEFAULT_DATA)
    as_json = False


@app.callback()
def main_options(
    data: Annotated[
        Path, typer.Option(help="The deployment's data folder.", envvar="LOCKGATE_DATA_FOLDER")
    ] = DEFAULT_DATA,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    Settings.folder = Folder(data.absolute())
    Settings.as_json = json


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


Reports = Annotated[bool, typer.Option("--reports", hidden=True)]


def _reporter(reports: bool) -> Callable[[str, dict[str, object]], None]:
    if reports:
        return output.print_report

    def say(kind: str, fields: dict[str, object]) -> None:
        shown = "  ".join(f"{name}={value}" for name, value in fields.items())
        output.errors.print(f"{kind}  {shown}", markup=False)

    return say


@ledger_app.command("run")
def ledger_run(
    name: str,
    port: Annotated[int, typer.Option(help="RPC port; 0 finds a free one.")] = 0,
    heartbeat: Annotated[float, typer.Option(help="Seconds between blocks when nothing happens.")] = 5.0,
    durable: Annotated[bool, typer.Option(help="Sync the database at every block, against power loss.")] = False,
    accept_clock: Annotated[bool, typer.Option(help="Confirm a clock that jumped ahead (once).")] = False,
    reports: Reports = False,
) -> None:
    """Run an embedded ledger that `up` or `ledger create` made."""
    from lockgate.node import ledger  # noqa: PLC0415  # each verb loads only what it needs

    report = _reporter(reports)

    async def work() -> None:
        running = asyncio.create_task(
            ledger.run(
                Settings.folder, name, port=port, heartbeat_s=heartbeat, durable=durable, accept_clock=accept_clock
            )
        )
        path = Settings.folder.ledger(name) / "address.json"
        while not path.exists() and not running.done():
            await asyncio.sleep(0.01)
        if not running.done():
            report("ready", {"ledger": name})
        await running

    _run(work)


@ledger_app.command("create")
def ledger_create(name: str, chain_id: str) -> None:
    """Make the keys and genesis of a one-signer ledger."""
    from lockgate.node import ledger  # noqa: PLC0415

    genesis = _guard(lambda: ledger.create(Settings.folder, name, chain_id))
    output.console.print(f"{name}: chain {genesis.chain_id}, domain {genesis.domain_id.hex()}")


@host_app.command("run")
def host_run(name: str, reports: Reports = False) -> None:
    """Run the host of an endpoint."""
    from lockgate.node import host  # noqa: PLC0415

    _run(lambda: host.run(Settings.folder, name, _reporter(reports)))


@host_app.command("status")
def host_status(name: str) -> None:
    """Show a host's endpoint, fence, state root and messages."""
    _show(_ask(name, "status"))


@relay_app.command("run")
def relay_run(name: str, reports: Reports = False) -> None:
    """Run a relayer."""
    from lockgate.node import relay  # noqa: PLC0415

    _run(lambda: relay.run(Settings.folder, name, _reporter(reports)))


@relay_app.command("status")
def relay_status(name: str) -> None:
    """Show packets in flight, who must act on those that wait, and what is parked."""
    from lockgate.node.folder import read_json  # noqa: PLC0415

    _show(_guard(lambda: read_json(Settings.folder.relay(name) / "status.json"))["directions"])


@app.command()
def up(
    config: Annotated[Path | None, typer.Argument(help="TOML file of the deployment; none gives the default.")] = None,
) -> None:
    """Start a whole deployment: ledgers, hosts, relayer. Ctrl-C stops it."""
    from lockgate.node import up as deployment  # noqa: PLC0415

    async def work() -> None:
        running = await deployment.start(
            Settings.folder, deployment.read_spec(config), lambda step: output.errors.print(f"… {step}"), _quiet
        )
        try:
            rows = [[name, address] for name, address in running.addresses.items()]
            output.table("Ledgers", ["name", "RPC"], rows)
            output.console.print("Running. In another terminal: lockgate send, inbox, trace. Ctrl-C stops.")
            await asyncio.Event().wait()
        finally:
            await running.processes.stop()

    _run(work)


def _quiet(name: str, kind: str, fields: dict[str, Any]) -> None:
    if kind in {"fenced", "two_histories", "parked", "trap", "item_failed", "rejected"}:
        output.errors.print(f"{name}: {kind} {fields}", markup=False)


@app.command()
def explain(code: Annotated[str | None, typer.Argument(help="A failure's code; none lists them all.")] = None) -> None:
    """Say in words what a failure code means and what to do."""
    from lockgate.node.explain import load_codes  # noqa: PLC0415

    load_codes()
    known = error_codes()
    if code is None:
        if Settings.as_json:
            output.print_json({name: error.summary for name, error in known.items()})
        else:
            output.table("Failure codes", ["code", "meaning"], [[name, e.summary] for name, e in known.items()])
        return
    error = known.get(code)
    if error is None:
        raise typer.Exit(output.show_error(UnknownCode("no such code", code=code), as_json=Settings.as_json))
    entry = {"code": code, "summary": error.summary, "untouched": error.untouched, "next": error.next_step}
    if Settings.as_json:
        output.print_json(entry)
        return
    output.console.print(f"[bold]{code}[/]\n{error.summary}\n{error.untouched}\nNext: {error.next_step}")


@guest_app.command("new")
def guest_new(folder: Path) -> None:
    """Write a guest project that builds and passes its tests."""
    from lockgate.runtime.wasm import authoring  # noqa: PLC0415

    output.console.print(f"wrote {_guard(lambda: authoring.new(folder))}")


@guest_app.command("build")
def guest_build(folder: Path) -> None:
    """Build and compile a guest's component."""
    from lockgate.runtime.wasm import authoring  # noqa: PLC0415

    built = _guard(lambda: authoring.build(folder))
    output.console.print(f"{built.component}  {built.identity.hex()}")


@guest_app.command("test")
def guest_test(folder: Path) -> None:
    """Build a guest if need be and run its cases in the sandbox."""
    from lockgate.runtime.wasm import authoring  # noqa: PLC0415

    report = _guard(lambda: authoring.test(folder))
    rows = [[c.name, "ok" if c.passed else "FAILED", c.expected, c.found] for c in report.cases]
    output.table(report.built.name, ["case", "", "expected", "found"], rows)
    if not report.passed:
        raise typer.Exit(1)


@app.command()
def send(
    host: Annotated[str, typer.Argument(help="The sending host.")],
    to: Annotated[str, typer.Argument(help="A peer, by the name the host knows it.")],
    text: Annotated[str | None, typer.Argument(help="The message as text.")] = None,
    file: Annotated[Path | None, typer.Option(help="Send a file's bytes.")] = None,
    schema: Annotated[str, typer.Option(help="Schema of the body, id@major.minor.")] = "bytes@1.0",
    timeout: Annotated[int, typer.Option(help="Seconds until the packet times out.")] = 600,
) -> None:
    """Send one sealed message to a peer."""
    body = file.read_bytes() if file is not None else (text or "").encode()
    if not body:
        raise typer.BadParameter("give the message as text or with --file")
    result = _ask(host, "send", to=to, schema=schema, body=body.hex(), timeout_s=timeout)
    if Settings.as_json:
        output.print_json(result)
        return
    for packet in result.get("packets", ()):
        output.console.print(
            f"sent as {packet['client']}/{packet['sequence']}; its end shows in `lockgate host status {host}`"
        )


@app.command()
def inbox(host: str, limit: int = 20) -> None:
    """Show what a host received and how it answered."""
    rows = _ask(host, "inbox", limit=limit)["messages"]
    if Settings.as_json:
        output.print_json(rows)
        return
    output.table(
        f"Inbox of {host}",
        ["packet", "from", "state", "body", "answer"],
        [
            [
                f"{r['client']}/{r['sequence']}",
                r["peer"],
                r["state"],
                output.text_of(bytes.fromhex(r["body"])),
                output.text_of(bytes.fromhex(r["reply"])) if r["reply"] else r["code"] or "",
            ]
            for r in rows
        ],
    )


@app.command()
def demo(
    input: Annotated[Path | None, typer.Option(help="CSV of option quotes; none computes a chain.")] = None,
    bundles: Annotated[Path | None, typer.Option(help="Where proof bundles go.")] = None,
    keep: Annotated[bool, typer.Option(help="Keep the demo's data folder.")] = False,
) -> None:
    """Stream option quotes between two ledgers: sealed, proven, answered; then verify proofs offline."""
    from lockgate.cli.demo import run_demo  # noqa: PLC0415

    _run(lambda: run_demo(input, bundles, keep=keep, as_json=Settings.as_json))


@app.command()
def verify(
    bundle: Annotated[Path | None, typer.Argument(help="A proof bundle, checked without any node.")] = None,
    trusted: Annotated[str | None, typer.Option(help="Hash of the header trust starts from (hex).")] = None,
    store: Annotated[
        str | None, typer.Option(help="Check a ledger's whole store instead; names the first bad height.")
    ] = None,
) -> None:
    """Verify a proof bundle offline, or a ledger's store."""
    from lockgate.node import check  # noqa: PLC0415

    if store is not None:
        _show(_guard(lambda: check.store(Settings.folder, store)))
        return
    if bundle is None:
        raise typer.BadParameter("name a bundle, or a ledger with --store")
    finding = _guard(lambda: check.bundle(bundle, trusted))
    if Settings.as_json:
        output.print_json(asdict(finding))
    else:
        output.console.print(finding.sentence())


def _ask(host: str, verb: str, **arguments: Any) -> dict[str, Any]:
    from lockgate.node.socket import call  # noqa: PLC0415

    path = Settings.folder.host(host) / "host.sock"
    return _guard(lambda: asyncio.run(call(path, verb, **arguments)))


def _show(value: dict[str, Any]) -> None:
    if Settings.as_json:
        output.print_json(value)
    else:
        output.table("", ["", ""], [[name, shown] for name, shown in value.items()])


def _guard(work: Callable[[], T]) -> T:
    """Turn a typed failure into a sentence and its exit code."""
    try:
        return work()
    except LockgateError as error:
        raise typer.Exit(output.show_error(error, as_json=Settings.as_json)) from error


def _run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run until done, ctrl-C or SIGTERM; all end cleanly."""

    async def supervised() -> None:
        task = asyncio.ensure_future(work())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        if not sys.stdin.isatty() and "--reports" in sys.argv:
            loop.add_reader(sys.stdin.fileno(), _parent_gone, task)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    _guard(lambda: asyncio.run(supervised()))


def _parent_gone(task: asyncio.Future[None]) -> None:
    if not os.read(sys.stdin.fileno(), 1):
        task.cancel()


def main() -> None:
    app()


if __name__ == "__main__":
    main()
