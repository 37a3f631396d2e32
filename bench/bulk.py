"""A gigabyte from host to host through the real path, in two processes: rate, and the peak memory of each.

    python -m bench.bulk [--mebibytes N] [--rounds N]

A round: one process seals a file into its shelf (ciphertext on disk, synced) and serves it on a Unix socket;
another fetches it, verifies every chunk and writes the body to a private file (synced, renamed). Beside it, in
the same round, what the machine does without any of it: the same bytes written to the same disk and synced,
and the bare cipher from end to end of a Unix socket. A small body goes first: the peak must not grow with length.
Rows are taken on the disk and, where there is one, in a folder of memory: the first says what a user gets, the
second what the code costs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.envelope import SOCKET_FRAMES, socket_rates
from bench.report import RESULTS, full_or, machine
from lockgate.envelope.bulk import BLOB_ID_BYTES, BlobId, blob_of
from lockgate.envelope.chunks import CHUNK_BYTES, Descriptor
from lockgate.transport import BlobServer, Bodies, Shelf, receive, seal_file, unix

MIB = 1 << 20
SMALL_MIB = full_or(64, 8)
MEMORY = Path("/dev/shm")
ALGORITHM = 3  # AES-256-GCM, as hosts seal
MAY_GROW_MIB = 8  # between a small body and a large one: allocator noise


def peak_mib() -> float:
    """Most memory this program ever had resident; getrusage would count the parent's before the exec."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def sending(folder: Path) -> None:
    """The sender's process: seal, say so, serve until the other end of stdin closes."""
    idle = peak_mib()
    shelf = Shelf(folder / "shelf")
    start = time.perf_counter()
    key, blob = os.urandom(32), BlobId(os.urandom(BLOB_ID_BYTES))
    descriptor = seal_file(folder / "file", key, ALGORITHM, blob, shelf, 1 << 40)
    took = time.perf_counter() - start
    listener = unix.listen(folder / "socket")
    print(json.dumps({"descriptor": descriptor.encode().hex(), "seconds": took}), flush=True)

    async def serve() -> None:
        server = asyncio.create_task(BlobServer(shelf.folder, listener).run())
        await asyncio.to_thread(sys.stdin.read)
        server.cancel()
        await asyncio.gather(server, return_exceptions=True)

    asyncio.run(serve())
    print(json.dumps({"idle": idle, "peak": peak_mib()}), flush=True)


def receiving(folder: Path, descriptor: Descriptor) -> None:
    idle = peak_mib()
    bodies = Bodies(folder / "bodies", body_bytes=1 << 40, total_bytes=1 << 41)
    start = time.perf_counter()
    asyncio.run(receive(unix.source(folder / "socket"), blob_of(descriptor.locator), bodies.begin("body", descriptor)))
    took = time.perf_counter() - start
    print(json.dumps({"seconds": took, "idle": idle, "peak": peak_mib()}), flush=True)


def child(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bench.bulk", *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    said: dict[str, Any] = json.loads(process.stdout.readline())
    return said


def plain_write(folder: Path) -> float:
    """Seconds to copy the file on the same disk and sync it: what any receiver has to do."""
    start = time.perf_counter()
    with (folder / "file").open("rb") as source, (folder / "copy").open("wb") as copy:
        shutil.copyfileobj(source, copy, MIB)
        copy.flush()
        os.fsync(copy.fileno())
    took = time.perf_counter() - start
    (folder / "copy").unlink()
    return took


def one_round(place: Path, mebibytes: int) -> dict[str, float]:
    """One body there; rates in MB/s of content, memory in MiB."""
    size = mebibytes * MIB
    with tempfile.TemporaryDirectory(prefix="lockgate-bulk-", dir=place) as name:
        folder = Path(name)
        with (folder / "file").open("wb") as file:
            for _ in range(mebibytes):
                file.write(os.urandom(MIB))
            os.fsync(file.fileno())
        bare_disk = plain_write(folder)
        bare, _ = socket_rates(ALGORITHM)
        sender = child("--send", name)
        sealed = line(sender)
        receiver = child("--receive", name, sealed["descriptor"])
        received = line(receiver)
        assert receiver.wait() == 0
        rest, _ = sender.communicate()
        sent = json.loads(rest)
        same = subprocess.run(["cmp", folder / "file", folder / "bodies" / "body"], check=False).returncode
        assert same == 0, "what arrived is not what was sent"
    return {
        "seal": size / sealed["seconds"] / 1e6,
        "transfer": size / received["seconds"] / 1e6,
        "end_to_end": size / (sealed["seconds"] + received["seconds"]) / 1e6,
        "copy_and_sync": size / bare_disk / 1e6,
        "bare_cipher_socket": bare * CHUNK_BYTES / 1e6,
        "transfer_of_copy": bare_disk / received["seconds"],
        "sender_peak": sent["peak"],
        "sender_grown": sent["peak"] - sent["idle"],
        "receiver_peak": received["peak"],
        "receiver_grown": received["peak"] - received["idle"],
    }


def measured(kind: str, place: Path, mebibytes: int, rounds: int) -> dict[str, Any]:
    found = [one_round(place, mebibytes) for _ in range(rounds)]
    values = {name: [row[name] for row in found] for name in found[0]}
    return {
        "place": kind,
        "mebibytes": mebibytes,
        "rounds": rounds,
        **{name: round(statistics.median(column), 2) for name, column in values.items()},
        "ranges": {name: [round(min(column), 2), round(max(column), 2)] for name, column in values.items()},
    }


def show(row: dict[str, Any]) -> None:
    print(f"\n{row['mebibytes']} MiB, {row['place']}, {row['rounds']} rounds")
    units = dict.fromkeys(("seal", "transfer", "end_to_end", "copy_and_sync", "bare_cipher_socket"), "MB/s")
    units |= dict.fromkeys(("sender_peak", "sender_grown", "receiver_peak", "receiver_grown"), "MiB")
    for name, (low, high) in row["ranges"].items():
        print(f"  {name:20} {row[name]:>9} {units.get(name, ''):5} {low}..{high}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mebibytes", type=int, default=full_or(1_024, 64))
    parser.add_argument("--rounds", type=int, default=full_or(5, 1))
    parser.add_argument("--send", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--receive", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.send:
        sending(arguments.send)
        return 0
    if arguments.receive:
        receiving(Path(arguments.receive[0]), Descriptor.decode(bytes.fromhex(arguments.receive[1])))
        return 0
    places = {"disk": Path(tempfile.gettempdir())} | ({"memory": MEMORY} if MEMORY.is_dir() else {})
    rows = [
        measured(kind, place, mebibytes, arguments.rounds)
        for kind, place in places.items()
        for mebibytes in (SMALL_MIB, arguments.mebibytes)
    ]
    for row in rows:
        show(row)
    grown = max(
        large[f"{side}_peak"] - small[f"{side}_peak"]
        for small, large in zip(rows[::2], rows[1::2], strict=True)
        for side in ("sender", "receiver")
    )
    print(f"\npeak memory grows by {grown:.1f} MiB between the two (may: {MAY_GROW_MIB})")
    result = {"machine": machine(), "socket_frames": SOCKET_FRAMES, "rows": rows, "grown": grown}
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "bulk.json").write_text(json.dumps(result, indent=1) + "\n")
    return int(grown > MAY_GROW_MIB)


if __name__ == "__main__":
    sys.exit(main())
