"""Prove what became of a message and check it without a node: python prove_and_verify.py FOLDER HOST PEER TEXT."""

import asyncio
import sys

import lockgate


async def main(folder: str, host: str, peer: str, text: str) -> None:
    async with lockgate.connect(folder, host) as gate:
        ended = await gate.wait(await gate.send(peer, text.encode()))
        bundle = await gate.prove(ended)

    # From here on nothing is asked of anyone: a proof is bytes, and so is the trust it starts from. Whoever checks
    # it takes the header's hash from the ledger's publisher, not from the proof as this example does.
    known = lockgate.verify(bundle).ledgers[0].trusted_hash
    finding = lockgate.verify(bundle, trust=[known])
    print(f"{len(bundle)} bytes: {finding.sentence()}")

    altered = bytearray(bundle)
    altered[len(altered) // 2] ^= 1
    try:
        lockgate.verify(bytes(altered), trust=[known])
    except lockgate.LockgateError as error:
        print(f"one bit changed: {error.code}")


asyncio.run(main(*sys.argv[1:5]))
