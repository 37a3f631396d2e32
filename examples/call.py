"""Send a message and await its proven answer, without an event loop: python call.py FOLDER HOST PEER TEXT."""

import sys

import lockgate

folder, host, peer, text = sys.argv[1:5]
with lockgate.connect_sync(folder, host) as gate:
    try:
        reply = gate.call(peer, text.encode(), timeout=60, patience=150)
    except lockgate.MessageTrapped as error:
        print(f"the peer's guest broke down over it: {error.packet}")
    except lockgate.MessageRefused as error:
        print(f"refused with {error.reason}: {error.words or 'no words'}")
    except lockgate.MessageTimedOut as error:
        print(f"never arrived, and never will: {error.packet}")
    else:
        print(f"answered: {reply.body.decode()}")
