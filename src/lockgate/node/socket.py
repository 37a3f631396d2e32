"""The host's Unix socket: one JSON object a line each way, for the command line and the Python API.

The socket lies in the data folder and is open to its owner only; each call shows a token beside (`door`, P22). Bytes
travel as hex. The host speaks first, and again after each call: {"nonce": …}. A call is {"call": text, "nonce": …,
"shown": …}, where the text is the JSON {"verb": …, arguments}: what was signed is what is carried out. Its answer is
{"ok": …} or {"error": {code, detail, resume}}. A verb that goes on (`subscribe`, `wait`) answers {"event": …} lines and
a last {"ok": {}}; it ends when the caller closes, or with its token: then `resume` has the arguments that go on from
there. It is read no faster than its caller reads: nothing is kept in memory for a slow one. Who reads nothing is waited
for as long as its token lasts, and where it asked for one answer, for IDLE_S: a few that hang keep nobody out for good.

The socket of a local cluster (`cluster`) speaks the same, and asks for no token: see ADR 45.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from lockgate.keystore.software import OsEntropy
from lockgate.node.door import Door
from lockgate.node.folder import NotRunning
from lockgate.node.passes import PATH, wallet
from lockgate.primitives.errors import LockgateError, PeerFault, Refused, Unavailable
from lockgate.session.tokens import NO_CHANNEL, Admitted, ListUnseen, Nonces, NotAuthenticated

MAX_CALLERS: Final = 64  # connections at once: a subscriber has one for good, a call one for a moment
LONG_S: Final = 86_400.0  # to look again, where nothing ends a stream
LOOK_S: Final = 5.0  # how late a silent stream ends whose token was revoked, or its issuer replaced, or a clock set
GREETING_S: Final = 30.0  # a host that is busy sealing answers late; one of before tokens, never
IDLE_S: Final = 90.0  # for a call to come on a connection, where a nonce lives no longer, or an answer to be read
MAX_LINE: Final = 4 * 1024 * 1024  # a command of a megabyte in hex, with room
RENEWABLE: Final = (NotAuthenticated.code, ListUnseen.code)  # what another token may help against
Answer = dict[str, Any]
Events = AsyncGenerator[Answer, None]
Serve = Callable[[str, dict[str, Any]], Awaitable[Answer | Events]]


class BadCall(PeerFault):
    code = "socket.bad_call"
    summary = "The line is not a call this process knows."
    next_step = "Use the `lockgate` command or the Python API of the same version."


class RemoteRefusal(LockgateError):
    """What the other process answered; its own code is in `fields["code"]`."""

    code = "socket.refused"
    summary = "The host refused the call."
    next_step = "Explain the code in the answer with `lockgate explain`."
    resume: Answer  # arguments of the call that goes on from here; empty where there is none


class TokenEnded(Refused):
    code = "token.stream_ended"
    summary = "The token that a stream began with has ended, and the stream with it."
    untouched = "Events that were not pushed are kept; `resume` names the place."
    next_step = "Call again with a new token and the arguments in `resume`; the Python API does so by itself."


class CallFailed(Unavailable):
    code = "socket.failed"
    summary = "The process could not carry out the call; its own log says why."
    untouched = "What the call had done until then stands: look at `inbox`, `outbox` and `host status`."
    next_step = "Report it with the lines of the host's log."


class TooManyCallers(Unavailable):
    code = "socket.busy"
    summary = "The host answers as many callers as it does at once."
    untouched = "The call was not read."
    next_step = "Call again; close subscriptions that nobody reads."


async def serve(path: Path, door: Door | None, handle: Serve) -> asyncio.Server:
    """Listen on `path` for whoever `door` lets in, or with None for whoever the file's mode does.

    An old socket file of a dead process is replaced.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    callers = 0

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal callers
        callers += 1
        try:
            if callers > MAX_CALLERS:
                await _send(writer, _refusal(TooManyCallers()))
                return
            nonces = Nonces(OsEntropy())
            while True:
                await _send(writer, {"nonce": door.give(nonces).hex() if door else ""})
                async with asyncio.timeout(IDLE_S):
                    line = await reader.readline()
                if not line:
                    return
                arguments: Answer = {}
                answer, admitted = await _answer(line, door, nonces, handle, arguments)
                if isinstance(answer, dict):
                    await _send(writer, answer)
                else:
                    await _stream(reader, writer, answer, arguments, partial(_left, door, admitted))
        except (ConnectionError, TimeoutError, ValueError, asyncio.LimitOverrunError):
            pass
        finally:
            callers -= 1
            await _close(writer)

    server = await asyncio.start_unix_server(session, str(path), limit=MAX_LINE)
    os.chmod(path, 0o600)
    return server


async def call(path: Path, verb: str, /, **arguments: Any) -> Answer:
    """One call to a running host. Raises NotRunning, RemoteRefusal, and why there is no token to show."""
    try:
        return await _called(path, verb, arguments)
    except RemoteRefusal as refusal:
        if refusal.fields["code"] not in RENEWABLE or not wallet(path).renews:
            raise
    return await _called(path, verb, arguments, fresh=True)  # a key that was rotated meanwhile, or a clock


async def stream(path: Path, verb: str, /, **arguments: Any) -> Events:
    """Events of a verb that goes on, until it ends or the iterator is closed; with one token after the other.

    Raises as `call`, and TokenEnded's code in a RemoteRefusal where no other token can be had.
    """
    again = False
    while True:
        try:
            async with contextlib.aclosing(_lines(path, verb, arguments, fresh=again)) as lines:
                async for answer in lines:
                    if "event" not in answer:
                        return
                    again = False
                    yield answer["event"]
            raise NotRunning("the host closed the connection", socket=str(path))
        except RemoteRefusal as refusal:
            code = refusal.fields["code"]
            if not wallet(path).renews or code not in (TokenEnded.code, *RENEWABLE):
                raise
            if again and code in RENEWABLE:
                raise  # a token made a moment ago is refused: another will be
            arguments |= refusal.resume
            again = True


async def _called(path: Path, verb: str, arguments: dict[str, Any], *, fresh: bool = False) -> Answer:
    async with contextlib.aclosing(_lines(path, verb, arguments, fresh=fresh)) as lines:
        async for answer in lines:
            result: Answer = answer["ok"]
            return result
    raise NotRunning("the host closed the connection", socket=str(path))


async def _lines(path: Path, verb: str, arguments: dict[str, Any], *, fresh: bool) -> Events:
    try:
        reader, writer = await asyncio.open_unix_connection(str(path), limit=MAX_LINE)
    except OSError as error:
        raise NotRunning("the host does not answer", socket=str(path)) from error
    try:
        async with asyncio.timeout(GREETING_S):
            greeting = _greeted(await reader.readline())
        body, proof = json.dumps({"verb": verb, **arguments}), b""
        if path.name == PATH:
            shown = await wallet(path).find(verb, fresh=fresh)
            proof = shown.show(verb, body.encode(), bytes.fromhex(greeting), NO_CHANNEL)
        writer.write(json.dumps({"call": body, "nonce": greeting, "shown": proof.hex()}).encode() + b"\n")
        await writer.drain()
        while line := await reader.readline():
            yield _said(json.loads(line))
    except (
        ConnectionError,
        TimeoutError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:  # a line above the limit is a ValueError
        raise NotRunning("the host closed the connection", socket=str(path)) from error
    finally:
        writer.close()


def _greeted(line: bytes) -> str:
    """The nonce of a greeting. Raises ConnectionResetError for none, RemoteRefusal, ValueError, KeyError."""
    if not line:
        raise ConnectionResetError
    return str(_said(json.loads(line))["nonce"])


def _said(answer: Answer) -> Answer:
    if "error" in answer:
        refused = RemoteRefusal(answer["error"]["detail"], code=answer["error"]["code"])
        refused.resume = dict(answer["error"].get("resume") or {})
        raise refused
    return answer


async def _stream(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    events: Events,
    arguments: Answer,
    left: Callable[[], float],
) -> None:
    """Push events until there are no more, the caller closes or says anything else, or its token ends."""
    gone = asyncio.ensure_future(reader.read(1))
    try:
        while True:
            following = asyncio.ensure_future(_next(events))
            waiting: set[asyncio.Future[Any]] = {gone, following}
            while (seconds := left()) > 0:
                done, _ = await asyncio.wait(waiting, timeout=min(seconds, LOOK_S), return_when=asyncio.FIRST_COMPLETED)
                if done:
                    break
            if left() <= 0 and not gone.done():
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
                await _send(writer, _refusal(TokenEnded(), resume=_place(arguments)))
                return
            if gone.done():
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
                raise ConnectionResetError
            try:
                event = following.result()
            except LockgateError as error:
                await _send(writer, _refusal(error))
                return
            except Exception as error:
                await _send(writer, _failed(error))
                return
            if event is None:
                await _send(writer, {"ok": {}})
                return
            if "number" in event:
                arguments["since"] = event["number"]
            await _push(writer, {"event": event}, left)
    finally:
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        await events.aclose()


async def _next(events: Events) -> Answer | None:
    return await anext(events, None)


async def _send(writer: asyncio.StreamWriter, answer: Answer) -> None:
    """Raises TimeoutError for a caller that does not read."""
    writer.write(json.dumps(answer).encode() + b"\n")
    async with asyncio.timeout(IDLE_S):
        await writer.drain()


async def _push(writer: asyncio.StreamWriter, event: Answer, left: Callable[[], float]) -> None:
    """Send an event to a caller that may take its time, as long as its token lasts."""
    writer.write(json.dumps(event).encode() + b"\n")
    while (seconds := left()) > 0:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, LOOK_S)):
                await writer.drain()
                return


async def _close(writer: asyncio.StreamWriter) -> None:
    """What is said and not read goes through for a moment more; a caller that never reads holds nothing open."""
    writer.close()
    try:
        async with asyncio.timeout(LOOK_S):
            await writer.wait_closed()
    except ConnectionError:
        pass
    except TimeoutError:
        writer.transport.abort()


async def _answer(
    line: bytes, door: Door | None, nonces: Nonces, handle: Serve, arguments: Answer
) -> tuple[Answer | Events, Admitted | None]:
    """What to answer a line, and who was let in for it; `arguments` is filled with those of the call."""
    admitted = None
    try:
        verb, body, nonce, shown = _request(line)
        admitted = door.admit(shown, verb, body, nonce, nonces) if door else None
        arguments |= json.loads(body)
        answer = await handle(arguments.pop("verb"), arguments)
        return ({"ok": answer} if isinstance(answer, dict) else answer), admitted
    except LockgateError as error:
        return _refusal(error), admitted
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        return {"error": {"code": BadCall.code, "detail": type(error).__name__}}, admitted
    except Exception as error:
        return _failed(error), admitted


def _request(line: bytes) -> tuple[str, bytes, bytes, bytes]:
    """Verb, signed bytes, nonce and what is shown. Raises BadCall, ValueError, TypeError, KeyError."""
    request = json.loads(line)
    if not isinstance(request, dict) or not isinstance(request.get("call"), str):
        raise BadCall("not an object with a call")
    inner = json.loads(request["call"])
    if not isinstance(inner, dict) or not isinstance(inner.get("verb"), str):
        raise BadCall("not an object with a verb")
    return inner["verb"], request["call"].encode(), bytes.fromhex(request["nonce"]), bytes.fromhex(request["shown"])


def _left(door: Door | None, admitted: Admitted | None) -> float:
    """Seconds that a stream may go on."""
    return door.left(admitted) if door and admitted else LONG_S


def _place(arguments: Answer) -> Answer:
    return {"since": arguments["since"]} if arguments.get("since") is not None else {}


def _failed(error: Exception) -> Answer:
    """A bug of ours: whoever asked is answered all the same, and the log has what happened."""
    asyncio.get_running_loop().call_exception_handler({"message": "a call failed", "exception": error})
    return _refusal(CallFailed(type(error).__name__))


def _refusal(error: LockgateError, resume: Answer | None = None) -> Answer:
    said: Answer = {"code": error.code, "detail": error.detail or error.summary}
    return {"error": {**said, "resume": resume} if resume is not None else said}
