"""Runs: packet messages that follow each other in a transaction and go one way, handled in one pass.

A relayer's transaction holds a batch: one kind of message, over one client, between the same ports, proven
at one height. What such messages have in common is asked once and framed once (`way`); a message that shows
exactly these bytes in their places is read by position, and only what is its own is checked for it alone.

A run accepts or leaves. Whatever is not plainly good (another form, another way, a no-op, a rejection by an
application, a refusal or failure of any kind) ends it before that message, with nothing kept of it, and the
plain handlers of `sending`, `receiving` and `settling` decide as if there were no runs. So a run changes
cost and never a result: a property test holds both to the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lockgate.codec.type_urls import MSG_ACKNOWLEDGEMENT, MSG_RECV_PACKET, MSG_SEND_PACKET
from lockgate.ibc.runs.acknowledgements import run_acknowledgements
from lockgate.ibc.runs.receives import run_receives
from lockgate.ibc.runs.sends import run_sends
from lockgate.ibc.runs.way import Messages, Ran, Runner

RUNNERS: Final[Mapping[str, Runner]] = {
    MSG_SEND_PACKET: run_sends,
    MSG_RECV_PACKET: run_receives,
    MSG_ACKNOWLEDGEMENT: run_acknowledgements,
}

__all__ = ("RUNNERS", "Messages", "Ran", "Runner")
