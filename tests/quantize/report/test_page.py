"""The page that puts schemes side by side: every scheme's row, every plot, no network, the same bytes twice."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from configs.loader import CONFIG_DIR, load_admission
from quantize.cli import quantize
from quantize.evaluate.outputs import ComplianceMeasure
from quantize.evaluate.result import DataRef, Evaluation, LmEvalTask, Machine, Plan, Size
from quantize.evaluate.scoring import TaskMeasure
from quantize.evaluate.speed import Level, Served, Serving
from quantize.evaluate.statistics import Paired, Share
from quantize.evaluate.text import TextMeasure
from quantize.evaluate.verdict import Measured, Rows, judge
from quantize.report.page import render

PLOTS = {"size", "divergence", "tasks", "safety"}
ENGINE_PLOTS = {"throughput", "first-token", "memory"}


def evaluation(scheme: str, kl: float = 0.01, served: bool = True, model: str = "opc-starter") -> Evaluation:
    """A result with numbers of its own; nothing here was measured."""
    bars = load_admission(CONFIG_DIR / "admission.yaml").default.bars
    paired = Paired.of([True] * 150, [True] * 147 + [False] * 3)
    none = Paired.of([False] * 230, [False] * 230)
    rows = Rows(text=200, tasks=340, harmful=150, ordinary=230)
    measured = Measured(
        perplexity_ratio=1.01,
        mean_kl_nats=kl,
        top1_agreement=0.99,
        task_score=0.8,
        task_drop=0.01,
        refusal_rate=0.98,
        refusal_drop=0.02,
        over_refusal=0.0,
        over_refusal_rise=0.0,
        compliance_rise=0.0,
        size_ratio=0.5,
        served=served,
        rows=rows,
    )
    return Evaluation(
        plan=Plan(
            model=model,
            scheme=scheme,
            vertical="e-commerce",
            artefact="a" * 64,
            base="b" * 64,
            data=(DataRef(use="text", name="held-out <b>.jsonl", sha256="c" * 64, rows=200),),
            kinds=("keyword",),
            longest_answer_tokens=256,
            admission_file="d" * 64,
            bars=bars,
            quick=False,
        ),
        plan_sha256="e" * 64,
        text=TextMeasure(
            rows=200,
            tokens=12000,
            base_perplexity=1.5,
            variant_perplexity=1.515,
            perplexity_ratio=1.01,
            mean_kl_nats=kl,
            p99_kl_nats=10 * kl,
            agreement=Share.among(11880, 12000),
            path="transformers",
        ),
        answers_path="vLLM" if served else "transformers",
        tasks=(
            TaskMeasure(
                kind="keyword",
                rows=340,
                base=0.81,
                variant=0.8,
                drop=0.01,
                drop_low=-0.01,
                drop_high=0.03,
                paired=paired,
            ),
        ),
        refusals=paired,
        over_refusals=none,
        compliance=ComplianceMeasure(rules="r", any_risk=none, by_risk={"personal_info": none}),
        size=Size(base_bytes=2 << 20, variant_bytes=1 << 20),
        serving=_serving() if served else None,
        lm_eval=(LmEvalTask(task="mine", metric="exact_match", base=0.5, variant=0.4),) if served else (),
        measured=measured,
        verdict=judge(measured, bars),
        seconds={"text": 1.0},
        machine=Machine(hardware="cpu", processor="p", cores=2, memory_gib=4.0, gpu=None),
        date="2026-11-24",
        tools={"torch": "2"},
    )


def _serving() -> Serving:
    def side(speed: float) -> Served:
        levels = tuple(
            Level(
                concurrent=n,
                requests=4 * n,
                output_tokens=64,
                tokens_per_second=speed * n,
                first_token_p50_ms=9.0,
                first_token_p95_ms=12.0,
            )
            for n in (1, 8)
        )
        return Served(load_seconds=40.0, memory_mib=900.0, levels=levels)

    return Serving(path="vLLM", together=True, rounds=3, base=side(100.0), variant=side(130.0))


class Page(HTMLParser):
    """What is on the page: rows by scheme, plots, headings, unclosed tags and addresses elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[str] = []
        self.plots: set[str] = set()
        self.open: list[str] = []
        self.outside: list[str] = []
        self.heads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.outside += [str(given[name]) for name in ("src", "href") if name in given]
        if tag == "script":
            self.outside.append(tag)
        if tag == "tr" and given.get("data-scheme"):
            self.rows.append(str(given["data-scheme"]))
        if tag == "figure":
            self.plots.add(str(given["data-plot"]))
        if tag not in ("meta", "br", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "h2" in self.open:
            self.heads.append(data.strip())


def test_every_scheme_has_its_rows_and_every_plot_is_there() -> None:
    page = Page(render([evaluation("nf4"), evaluation("w8a8", kl=0.5), evaluation("fp8", served=False)]))
    assert page.plots == PLOTS | ENGINE_PLOTS
    assert page.open == []
    # Verdict, fidelity, size, two each of tasks, refusals, findings; two of speed and one of lm-eval if served.
    assert [page.rows.count(scheme) for scheme in ("nf4", "w8a8", "fp8")] == [12, 12, 9]
    headings = " ".join(page.heads)
    for both in ("结论", "Verdicts", "任务", "Tasks", "拒答与误拒", "Refusals", "引擎上的速度", "Speed on the engine"):
        assert both in headings


def test_without_engines_there_are_no_plots_of_them() -> None:
    page = Page(render([evaluation("fp8", served=False)]))
    assert page.plots == PLOTS
    assert "引擎上的速度" not in page.heads


def test_the_page_needs_no_network_and_escapes_names() -> None:
    text = render([evaluation("nf4")])
    page = Page(text)
    assert [one for one in page.outside if not one.startswith("#")] == []
    assert "held-out &lt;b&gt;.jsonl" in text
    assert 'name="viewport"' in text
    # Text in plots stays text.
    assert "<text" in text
    assert ">nf4</text>" in text


def test_the_same_results_give_the_same_bytes() -> None:
    both = [evaluation("nf4"), evaluation("w8a8")]
    assert render(both) == render(both)


def test_missed_bars_stand_out_with_their_reason() -> None:
    bad = render([evaluation("nf4", kl=0.5)])
    assert bad.count('class="bad"') == 1
    assert "0.5, above the bar of 0.1" in bad
    assert "未准入" in bad
    assert 'class="bad"' not in render([evaluation("nf4")])


def test_the_command_writes_page_and_json(tmp_path: Path) -> None:
    for scheme in ("nf4", "w8a8"):
        folder = tmp_path / scheme
        folder.mkdir()
        (folder / "EVALUATION.json").write_text(evaluation(scheme).model_dump_json(), encoding="utf-8")
    out = tmp_path / "new" / "report.html"
    done = CliRunner().invoke(
        quantize, ["report", "--out", str(out), str(tmp_path / "nf4"), str(tmp_path / "w8a8" / "EVALUATION.json")]
    )
    assert done.exit_code == 0, done.output
    assert set(Page(out.read_text(encoding="utf-8")).rows) == {"nf4", "w8a8"}
    content = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    assert [Evaluation.model_validate(one).plan.scheme for one in content["evaluations"]] == ["nf4", "w8a8"]


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "run `opcgate quantize evaluate` first"), ("{}", "Field required"), ("no", "Invalid JSON")],
)
def test_results_that_cannot_be_read(tmp_path: Path, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / "EVALUATION.json").write_text(content, encoding="utf-8")
    done = CliRunner().invoke(quantize, ["report", "--out", str(tmp_path / "r.html"), str(tmp_path)])
    assert (done.exit_code, said in done.output) == (2, True), done.output
    assert not (tmp_path / "r.html").exists()
