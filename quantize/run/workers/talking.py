"""The worker's side of the conversation: hello, one job, signs of life, and how a failure is told."""

import contextlib
import errno
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from quantize.run.workers.messages import (
        PROTOCOL,
        Alive,
        Failed,
        Hello,
        Job,
        Message,
        Progress,
        Result,
        decode,
        encode,
    )
else:  # run as a program, this folder is all that is on the path
    from messages import PROTOCOL, Alive, Failed, Hello, Job, Message, Progress, Result, decode, encode

ALIVE_EVERY_SECONDS = 2.0
Work = Callable[[Job, Callable[[str, int, int], None]], Result]


def serve_one_job(work: Work, packages: tuple[str, ...]) -> int:
    """Run `work` on the job that comes on standard input; libraries may print, that goes into the log."""
    wire = _own_output()
    lock = threading.Lock()

    def say(message: Message) -> None:
        with lock:
            wire.write(encode(message))
            wire.flush()

    say(Hello(PROTOCOL, _versions(packages)))
    job = decode(sys.stdin.readline())
    if not isinstance(job, Job) or job.protocol != PROTOCOL:
        say(Failed("protocol", f"this worker speaks protocol {PROTOCOL}"))
        return 1
    threading.Thread(target=_beat, args=(say,), daemon=True).start()
    try:
        say(work(job, lambda stage, done, total: say(Progress(stage, done, total))))
    except Exception as error:  # noqa: BLE001 - whatever the library raised, the run has to hear of it
        traceback.print_exc()
        say(_failure(error))
        return 1
    return 0


def _own_output() -> TextIO:
    """Standard output for messages only; whatever else is printed goes to standard error."""
    wire = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return wire


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name).partition("+")[0] for name in packages}


def _beat(say: Callable[[Message], None]) -> None:
    while True:
        time.sleep(ALIVE_EVERY_SECONDS)
        try:
            say(Alive(time.process_time()))
        except (OSError, ValueError):
            os._exit(1)  # nobody listens any more


def _failure(error: Exception) -> Failed:
    chain: BaseException | None = error
    while chain is not None:
        # safetensors wraps the system's error in its own, with the number only in the text.
        text = f"{type(chain).__name__}: {chain}"
        if (isinstance(chain, OSError) and chain.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)) or any(
            f"os error {number}" in text for number in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
        ):
            return Failed("disk-full", text)
        if isinstance(chain, MemoryError) or "OutOfMemory" in text or "can't allocate memory" in text:
            return Failed("out-of-memory", text)
        chain = chain.__cause__ or chain.__context__
    return Failed("error", f"{type(error).__name__}: {error}"[:2000])


def seed_everything(seed: int, threads: int | None) -> str:
    """Make torch repeat itself; `threads` limits the processor's, whose sums depend on their number. The device."""
    import random

    import numpy
    import torch

    random.seed(seed)
    numpy.random.seed(seed)
    torch.manual_seed(seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if threads and device == "cpu":
        torch.set_num_threads(threads)
        with contextlib.suppress(RuntimeError):  # only once in a process
            torch.set_num_interop_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    return device
