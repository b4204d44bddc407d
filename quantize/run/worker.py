"""The run's side of a worker: start it, shake hands, hand it the job, pass its progress on, and never wait for ever."""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from models.process import ending_with_parent
from quantize.errors import CannotWrite, DoesNotFit, EnvironmentMissing, WorkerFailed
from quantize.run.schemes import Tool
from quantize.run.workers.messages import (
    PROTOCOL,
    Alive,
    Failed,
    Hello,
    Job,
    Message,
    MessageError,
    Progress,
    Result,
    decode,
    encode,
)

ROOT = Path(__file__).resolve().parents[2]
WORKERS = Path(__file__).parent / "workers"
PYTHON_VARIABLE = "OPCGATE_QUANTIZE_PYTHON"
Report = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a worker may say nothing, and how long it may use no processor time, before it counts as hung."""

    silent_seconds: float = 300
    idle_seconds: float = 900


def quantize_python(root: Path = ROOT) -> Path:
    """The Python that has llm-compressor and lm-eval, whether it is there or not."""
    named = os.environ.get(PYTHON_VARIABLE)
    return Path(named) if named else root / ".venv-quantize" / "bin" / "python"


def worker_command(tool: Tool, root: Path = ROOT) -> tuple[str, ...]:
    """How the tool's worker is started. Raises EnvironmentMissing."""
    if tool == "bitsandbytes":
        return (sys.executable, str(WORKERS / "bitsandbytes_worker.py"))
    python, named = quantize_python(root), os.environ.get(PYTHON_VARIABLE)
    # The stamp is written last: without it the installation was interrupted.
    if not python.is_file() or not (named or (root / ".venv-quantize" / "opcgate-setup.stamp").is_file()):
        raise EnvironmentMissing(
            f"{python}: the environment for llm-compressor is missing or incomplete; run `make quantize-env`, "
            f"or name a Python that has llm-compressor in ${PYTHON_VARIABLE}.",
            f"缺少 llm-compressor 的运行环境，请运行 `make quantize-env`，或用 {PYTHON_VARIABLE} 指定 Python。",
        )
    return (str(python), str(WORKERS / "compressor_worker.py"))


@dataclass(slots=True)
class Worker:
    """A worker that has said hello; `tools` are the versions that it works with."""

    process: subprocess.Popen[str]
    log: Path
    patience: Patience
    tools: dict[str, str] = field(default_factory=dict)
    _lines: "queue.SimpleQueue[str | None]" = field(default_factory=queue.SimpleQueue)

    def run(self, job: Job, report: Report) -> Result:
        """Give it the job and wait for the result. Raises CannotWrite, DoesNotFit, WorkerFailed."""
        self._send(job)
        cpu_seconds, since = 0.0, time.monotonic()
        while True:
            message = self._next()
            match message:
                case Progress():
                    report(message)
                case Alive() if message.cpu_seconds > cpu_seconds + 0.2:
                    cpu_seconds, since = message.cpu_seconds, time.monotonic()
                case Alive() if time.monotonic() - since > self.patience.idle_seconds:
                    raise self._failed(f"has done nothing for {self.patience.idle_seconds:.0f} s", "长时间没有进展")
                case Result():
                    return message
                case Failed():
                    raise self._translated(message)
                case Alive():
                    pass
                case _:
                    raise self._failed(f"sent {type(message).__name__} in the middle", "发送了意外的消息")

    def shake_hands(self) -> None:
        """Read its hello. Raises EnvironmentMissing, WorkerFailed."""
        try:
            message = self._next()
        except WorkerFailed as error:
            raise EnvironmentMissing(
                f"{error.en}\nIts environment does not work; run `make quantize-env`.",
                f"{error.zh}\n量化环境不可用，请运行 `make quantize-env`。",
            ) from None
        if not isinstance(message, Hello) or message.protocol != PROTOCOL:
            raise self._failed(
                f"does not speak protocol {PROTOCOL}; install opcgate anew", "协议版本不一致，请重新安装"
            )
        self.tools = message.tools

    def kill(self) -> None:
        """End it and whatever it started, by its own id."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        """Close what is left of the conversation, once nobody reads any more."""
        for pipe in (self.process.stdin, self.process.stdout):
            # What was still to be written has no reader any more.
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()

    def read_lines(self) -> None:
        """Put its lines into the queue, then None; runs in a thread of its own."""
        assert self.process.stdout is not None  # noqa: S101 - it was started with a pipe
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _send(self, job: Job) -> None:
        assert self.process.stdin is not None  # noqa: S101 - it was started with a pipe
        try:
            self.process.stdin.write(encode(job))
            self.process.stdin.flush()
        except OSError:
            raise self._failed("ended before it had its job", "在领取任务前退出") from None

    def _next(self) -> Message:
        try:
            line = self._lines.get(timeout=self.patience.silent_seconds)
        except queue.Empty:
            raise self._failed(f"has said nothing for {self.patience.silent_seconds:.0f} s", "长时间没有响应") from None
        if line is None:
            code = self.process.wait()
            raise self._failed(f"ended with code {code}", f"意外退出，代码 {code}")
        try:
            return decode(line)
        except MessageError as error:
            raise self._failed(f"sent what is no message ({error})", "发送了无法识别的消息") from None

    def _translated(self, failed: Failed) -> Exception:
        if failed.kind == "disk-full":
            return CannotWrite(
                f"the disk is full ({failed.why}); free some and run the same command again.",
                "磁盘已满，请释放空间后重新运行同一命令。",
            )
        if failed.kind == "out-of-memory":
            return DoesNotFit(
                f"memory ran out ({failed.why}); use fewer --rows, a larger machine, or a smaller model.",
                "内存不足，请减少 --rows、换用更大的机器或更小的模型。",
            )
        return self._failed(f"could not quantize: {failed.why}", "量化失败")

    def _failed(self, en: str, zh: str) -> WorkerFailed:
        tail = "\n".join(self.log.read_text(errors="replace").replace("\r", "\n").splitlines()[-8:])
        return WorkerFailed(f"the worker {en}; the end of {self.log}:\n{tail}", f"量化进程{zh}，日志见 {self.log}。")


@contextlib.contextmanager
def started(command: tuple[str, ...], log: Path, patience: Patience | None = None) -> Iterator[Worker]:
    """A worker that has shaken hands; it is gone when this is left, whatever happens."""
    with log.open("wb") as errors:
        process = subprocess.Popen(  # noqa: S603 - our own program, no shell
            command,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
            preexec_fn=ending_with_parent(),
        )
    worker = Worker(process, log, patience or Patience())
    reader = threading.Thread(target=worker.read_lines, daemon=True)
    reader.start()
    try:
        worker.shake_hands()
        yield worker
    finally:
        worker.kill()
        reader.join()
        worker.close()


def _environment() -> dict[str, str]:
    """Ours, without what would lead another Python's imports into our environment; one order of sets and hashes."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    return env | {"PYTHONNOUSERSITE": "1", "PYTHONUNBUFFERED": "1", "PYTHONHASHSEED": "0"}
