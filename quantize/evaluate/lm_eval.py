"""lm-eval's tasks against a running engine, in lm-eval's own environment."""

import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from models.process import Child
from quantize.evaluate.engines import Engine
from quantize.evaluate.progress import Report
from quantize.evaluate.rows import EvaluationError

GRACE_SECONDS = 5.0
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


@dataclass(frozen=True, slots=True)
class LmEval:
    """Which tasks, by lm-eval's names; `include` is a folder of task files of one's own. `limit` cuts their rows.

    With `online` task data may be fetched from where lm-eval looks for it.
    """

    python: Path
    tasks: tuple[str, ...]
    include: Path | None = None
    limit: int | None = None
    online: bool = False

    def score(self, engine: Engine, tokenizer: Path, report: Report) -> dict[str, tuple[str, float]]:
        """Each task's first metric and its value. Raises EvaluationError with the end of lm-eval's log."""
        if not self.python.is_file():
            raise EvaluationError(
                f"{self.python}: no such file; run `make quantize-env`.", "请先运行 `make quantize-env`。"
            )
        with tempfile.TemporaryDirectory(prefix="opcgate-lm-eval-") as folder:
            out, log = Path(folder) / "out", Path(folder) / "lm-eval.log"
            child = Child.start("lm-eval", self._command(engine, tokenizer, out), self._environment(), log)
            started = time.monotonic()
            try:
                while child.exit_code is None:
                    engine.check()
                    report(f"lm-eval on the {engine.side}", int(time.monotonic() - started), 0)
                    time.sleep(0.2)
                results = sorted(out.rglob("results_*.json"))
                if child.exit_code != 0 or not results:
                    raise EvaluationError(
                        f"lm-eval ended with code {child.exit_code}; the end of its log:\n{child.log_tail(12)}",
                        "lm-eval 运行失败，日志结尾见上。",
                    )
                return read_scores(json.loads(results[-1].read_text(encoding="utf-8")))
            finally:
                child.stop(GRACE_SECONDS)

    def _command(self, engine: Engine, tokenizer: Path, out: Path) -> tuple[str, ...]:
        api = f"model={engine.model},base_url={engine.url}/v1/completions,num_concurrent=8,max_retries=1"
        argv = [str(self.python), "-m", "lm_eval", "--model", "local-completions"]
        argv += ["--model_args", f"{api},tokenizer_backend=huggingface,tokenizer={tokenizer}"]
        argv += ["--tasks", ",".join(self.tasks), "--apply_chat_template", "--output_path", str(out)]
        if self.include is not None:
            argv += ["--include_path", str(self.include)]
        if self.limit is not None:
            argv += ["--limit", str(self.limit)]
        return tuple(argv)

    def _environment(self) -> dict[str, str]:
        return dict(os.environ) | ({} if self.online else OFFLINE)


def read_scores(results: dict[str, dict[str, dict[str, float | str]]]) -> dict[str, tuple[str, float]]:
    """The first metric of each task in lm-eval's result file; its name is without the filter's."""
    found: dict[str, tuple[str, float]] = {}
    for task, values in results["results"].items():
        for key, value in values.items():
            if isinstance(value, int | float) and "," in key and "_stderr" not in key:
                found[task] = (key.partition(",")[0], float(value))
                break
    return found
