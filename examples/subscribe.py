"""Follow what a host receives and how its own messages end: python subscribe.py FOLDER HOST COUNT [SINCE].

The number of the last event is all there is to keep: a later run goes on after it and misses nothing.
"""

import asyncio
import sys

import lockgate


async def main(folder: str, host: str, count: int, since: int) -> None:
    async with lockgate.connect(folder, host) as gate:
        async for event in gate.subscribe(since):
            kind = "received" if isinstance(event, lockgate.Received) else "ended"
            print(event.number, kind, event.packet, event.state, event.body[:40], flush=True)
            count -= 1
            if not count:
                return


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) > 4 else 0))
