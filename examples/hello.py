"""Send one sealed message and see where it is: python hello.py FOLDER HOST PEER TEXT."""

import asyncio
import sys

import lockgate


async def main(folder: str, host: str, peer: str, text: str) -> None:
    async with lockgate.connect(folder, host) as gate:
        sent = await gate.send(peer, text.encode())
        print(f"sent as {sent.packet}, trace {sent.trace_id}")
        async for story in gate.follow(sent):
            print(f"{story.standing.state}: waits for {story.standing.who}, {story.standing.why}")


asyncio.run(main(*sys.argv[1:5]))
