"""Many open streams for a long time: `python -m loadtests.soak_streams --streams 1000 --rate 20 --minutes 10`.

A fake engine says so many events a second on each stream; every client counts what it gets, and every minute the
gateway's memory is read. Told at the end: streams that broke, events that are missing, memory per stream, and whether
it grew. Loopback only; what was started is stopped.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import uvloop

from loadtests.bench_texts import request_body
from loadtests.bench_upstream import Upstreams
from loadtests.children import BenchError, free_port, running
from loadtests.peers import STREAM_MODEL, serve_opcgate

CONTENT = b'"content":'
EVENTS_PER_ANSWER = 1200


@dataclass(slots=True)
class Tally:
    """What the clients saw."""

    events: int = 0
    answers: int = 0
    broken: list[str] = field(default_factory=list)
    open: int = 0


def main() -> int:
    """Run and print; 1 when a stream broke or an event was missing."""
    options = _options()
    try:
        with tempfile.TemporaryDirectory(prefix="opcgate-soak-") as name:
            return uvloop.run(soak(Path(name), options))
    except BenchError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 2


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.soak_streams", description=main.__doc__)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=20.0, help="events per second and stream")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


async def soak(folder: Path, options: argparse.Namespace) -> int:
    """Start engine and gateway, open the streams, watch."""
    engine = Path(__file__).with_name("paced_upstream.py")
    port = free_port()
    command = [sys.executable, str(engine), str(port), str(options.rate), str(EVENTS_PER_ANSWER)]
    with contextlib.ExitStack() as stack:
        stack.enter_context(running(command, folder / "engine.log", port=port, ready_path="/health"))
        behind = Upstreams(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port}")
        served = stack.enter_context(serve_opcgate(folder, behind, workers=options.workers))
        pids = _workers(folder)
        print(f"soak: {options.streams} streams, {options.rate:g} events/s each, workers {pids}", flush=True)
        return await _watch(served.stream, served.key or "", pids, options)


def _workers(folder: Path) -> list[int]:
    """The gateway's processes: those whose command line names the folder's settings."""
    config = str(folder / "opcgate.yaml")
    found = [one.pid for one in psutil.process_iter(["cmdline"]) if config in (one.info["cmdline"] or ())]
    return sorted(found)


async def _watch(url: str, key: str, pids: list[int], options: argparse.Namespace) -> int:
    tally = Tally()
    before = _memory(pids)
    until = time.monotonic() + options.minutes * 60
    clients = [asyncio.create_task(_client(url, key, tally, until)) for _ in range(options.streams)]
    samples: list[int] = []
    counted = 0
    while time.monotonic() < until:
        await asyncio.sleep(min(30.0, max(0.1, until - time.monotonic())))
        samples.append(_memory(pids))
        rate = (tally.events - counted) / 30
        counted = tally.events
        print(
            f"soak: {tally.open} open, {tally.events} events ({rate:,.0f}/s), {tally.answers} answers, "
            f"{len(tally.broken)} broken, {samples[-1] / 1e6:.0f} MB",
            flush=True,
        )
    for client in clients:
        client.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    settled = samples[len(samples) // 4 :] or samples
    half = len(settled) // 2 or 1
    first, last = sum(settled[:half]) / half, sum(settled[-half:]) / half
    print(
        f"soak: memory {before / 1e6:.0f} MB before, {max(samples) / 1e6:.0f} MB at most: "
        f"{(max(samples) - before) / options.streams / 1000:.0f} kB per stream; "
        f"second half {100 * (last / first - 1):+.1f} % against the first. Broken: {tally.broken[:3]}"
    )
    return 1 if tally.broken else 0


async def _client(url: str, key: str, tally: Tally, until: float) -> None:
    """One caller: a stream after another, each of them counted to its end."""
    host, _, port = url.removeprefix("http://").partition(":")
    body = request_body(STREAM_MODEL, stream=True).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    ).encode()
    while time.monotonic() < until:
        events, ended, last = 0, False, b""
        try:
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(head + body)
            tally.open += 1
            try:
                while chunk := await reader.read(65536):
                    found = chunk.count(CONTENT)
                    events += found
                    tally.events += found
                    last = chunk
                    ended = ended or b"[DONE]" in chunk
            finally:
                tally.open -= 1
                writer.close()
        except OSError as error:
            tally.broken.append(type(error).__name__)
            continue
        tally.answers += 1
        if not ended:
            tally.broken.append(f"no end after {events} events: {last[-300:].decode(errors='replace')}")


def _memory(pids: list[int]) -> int:
    """What the processes hold themselves (USS), in bytes."""
    return sum(psutil.Process(pid).memory_full_info().uss for pid in pids if psutil.pid_exists(pid))


if __name__ == "__main__":
    sys.exit(main())
