"""`opcgate quantize report`: evaluations of several schemes on one page."""

import json
from collections.abc import Sequence
from pathlib import Path

import typer

from quantize.evaluate.result import read_evaluation
from quantize.evaluate.rows import EvaluationError
from quantize.report.page import render

OK, FAILED = 0, 2


def report_command(paths: Sequence[Path], out: Path, *, as_json: bool) -> int:
    """Write the page and the JSON beside it; 0, or 2 when a result can't be read or the page not be written."""
    try:
        evaluations = [read_evaluation(path) for path in paths]
        content = {"evaluations": [one.model_dump(mode="json") for one in evaluations]}
        whole = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(render(evaluations), encoding="utf-8")
        out.with_suffix(".json").write_text(whole, encoding="utf-8")
    except EvaluationError as error:
        typer.echo(f"opcgate quantize: {error}", err=True)
        return FAILED
    except OSError as error:
        typer.echo(f"opcgate quantize: {out}: can't be written ({error.strerror}). / 无法写入。", err=True)
        return FAILED
    typer.echo(whole if as_json else f"{out}: {len(evaluations)} schemes / {len(evaluations)} 个方案")
    return OK
