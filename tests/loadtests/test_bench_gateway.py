"""The gateway benchmark without its load generator: what it reads, what it computes, and what its fakes say."""

import json
import shutil
import sys
from pathlib import Path

import psutil
import pytest

from compliance.build import build_pipeline, shipped_settings
from loadtests import bench_gateway, bench_report, bench_texts, bench_upstream, peers
from loadtests.bench_report import Load, Results, Round
from loadtests.children import HOST, BenchError, free_port, running
from loadtests.fake_engine import FakeEngine, Script
from loadtests.fake_engine import running as fake_running
from loadtests.wrk import NoAnswer, Sample, parse_report

GOLDEN = """\
Running 2s test @ http://127.0.0.1:8080/v1/chat/completions
  1 threads and 1 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    52.15us   23.35us   1.46ms   97.08%
    Req/Sec    19.07k     1.15k   20.36k    76.19%
  Latency Distribution
     50%   {p50}
     75%   53.00us
     90%   58.00us
     99%   {p99}
  39842 requests in 2.10s, 11.93MB read
{errors}Requests/sec:  18971.53
Transfer/sec:      5.68MB
"""


@pytest.mark.parametrize(
    ("p50", "p99", "errors", "expected"),
    [
        ("49.00us", "125.00us", "", Sample(39842, 18971.53, 49.0, 125.0, 0)),
        ("0.90ms", "1.46ms", "", Sample(39842, 18971.53, 900.0, 1460.0, 0)),
        # wrk puts a blank after a one-letter unit
        ("1.26s ", "1.02m ", "", Sample(39842, 18971.53, 1.26e6, 61.2e6, 0)),
        ("49.00us", "125.00us", "  Non-2xx or 3xx responses: 12\n", Sample(39842, 18971.53, 49.0, 125.0, 12)),
        (
            "49.00us",
            "125.00us",
            "  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 5\n",
            Sample(39842, 18971.53, 49.0, 125.0, 15),
        ),
    ],
)
def test_a_report_of_wrk_is_read(p50: str, p99: str, errors: str, expected: Sample) -> None:
    read = parse_report(GOLDEN.format(p50=p50, p99=p99, errors=errors))
    assert (read.requests, read.per_second, read.errors) == (expected.requests, expected.per_second, expected.errors)
    assert (read.p50_us, read.p99_us) == pytest.approx((expected.p50_us, expected.p99_us))


def test_a_report_without_answers_or_of_another_form_is_refused() -> None:
    text = GOLDEN.format(p50="1us", p99="1us", errors="")
    with pytest.raises(NoAnswer):
        parse_report(text.replace("39842 requests", "0 requests"))
    with pytest.raises(BenchError, match="99%"):
        parse_report(text.replace("99%", "98%"))


def _round(p50: float, p99: float, rate: float = 1000.0) -> Round:
    one = Sample(100, rate, p50, p99, 0)
    return Round({"one": one, "many": one, "streamed": one}, 64, None)


def test_added_latency_is_the_median_of_differences_within_a_round() -> None:
    # The difference of the medians would be 300 - 100 = 200; the machine was slow in round 2 for both.
    gateway = [_round(300, 900), _round(1200, 2000), _round(250, 800)]
    floor = [_round(100, 150), _round(900, 1000), _round(40, 90)]
    spread = bench_report.added(gateway, floor, lambda one: one.samples["one"].p50_us)
    assert (spread.median, spread.least, spread.greatest) == (210, 200, 300)


def test_the_table_names_the_failed_and_keeps_every_sample() -> None:
    candidates = [one for one in peers.CANDIDATES if one.name in ("upstream", "opcgate", "sglang-router")]
    loads = (
        Load("one", "m", streamed=False, connections=1),
        Load("many", "m", streamed=False, connections=64),
        Load("streamed", "m", streamed=True, connections=32),
    )
    results = Results(candidates, loads, seconds=5)
    results.rounds["upstream"] += [_round(100, 200, 40_000), _round(120, 220, 50_000)]
    results.rounds["opcgate"] += [_round(1100, 2200, 95.5), _round(1320, 3220, 85.5)]
    results.failures["sglang-router"] = "ended at once: no module"
    machine = {"date": "d", "cpu": "c", "cores": 2, "memory_gib": 8, "load_before": 0.1, "commit": "abc"}
    rows = [
        line
        for line in bench_report.markdown(machine | {"versions": {"wrk": "4"}}, results).splitlines()
        if line.startswith("| ")
    ]
    assert rows[0].count("|") == rows[1].count("|") == rows[2].count("|") == rows[3].count("|")
    assert "45,000 (40,000 to 50,000)" in rows[1]
    assert "1.10 ms (1.00 to 1.20) | 2.50 ms (2.00 to 3.00) | 90.5 (85.5 to 95.5)" in rows[2]
    assert "failed: ended at once" in rows[3]
    document = json.loads(bench_report.as_json(machine, results))
    assert [one["samples"]["one"]["p50_us"] for one in document["rounds"]["opcgate"]] == [1100, 1320]
    assert list(document["summary"]) == ["upstream", "opcgate"]


def test_the_request_and_the_answer_are_as_the_table_says() -> None:
    body = bench_texts.request_body("m", stream=True)
    assert body.count(bench_texts.VARIED) == 1, "the place of the request's own number"
    messages = json.loads(body.replace(bench_texts.VARIED, ""))["messages"]
    assert [len(messages), sum(len(one["content"]) for one in messages)] == [2, 200]
    script = bench_texts.stream_script()
    for form in ("plain", "counted"):
        assert len(script[form]) == bench_texts.EVENTS
        assert "".join(bench_gateway.event_texts("".join(script[form]) + "data: [DONE]\n\n")) == bench_texts.ANSWER
    with pytest.raises(ValueError, match="DONE"):
        bench_gateway.event_texts("".join(script["plain"]))


def test_the_word_list_is_the_same_each_time_and_finds_nothing_in_what_is_said(tmp_path: Path) -> None:
    for name in ("a.tsv", "b.tsv"):
        bench_texts.write_lexicon(tmp_path / name, terms=2000)
    assert (tmp_path / "a.tsv").read_bytes() == (tmp_path / "b.tsv").read_bytes()
    assert len((tmp_path / "a.tsv").read_text(encoding="utf-8").splitlines()) == 2001
    pipeline = build_pipeline(shipped_settings().model_copy(update={"lexicons": (tmp_path / "a.tsv",)}))
    for direction, text in (("prompt", bench_texts.SYSTEM + bench_texts.USER), ("output", bench_texts.ANSWER)):
        assert pipeline.scan(text, direction).findings == ()


@pytest.mark.parametrize("asked", [{}, {"include_usage": True, "continuous_usage_stats": True}])
def test_the_streaming_upstream_says_the_answer_in_the_form_asked_for(tmp_path: Path, asked: dict) -> None:
    node = shutil.which("node", path=str(Path(sys.executable).parent))
    assert node, "node comes with the project's lock"
    body = json.loads(bench_texts.request_body("m", stream=True)) | ({"stream_options": asked} if asked else {})
    with bench_upstream.node_upstream(node, tmp_path) as url:
        assert bench_gateway.check_answer(url, json.dumps(body), None, streamed=True) == bench_texts.EVENTS


def test_the_fake_engine_passes_the_benchmarks_check_and_a_wrong_answer_does_not() -> None:
    engine = FakeEngine(("m",))
    with fake_running(engine) as url:
        for streamed in (True, False):
            engine.script = Script([{"content": one} for one in bench_texts.ANSWER])
            body = bench_texts.request_body("m", stream=streamed)
            pieces = bench_gateway.check_answer(url, body, None, streamed=streamed)
            assert pieces == (len(bench_texts.ANSWER) if streamed else 1)
            engine.script = Script([{"content": "别的"}])
            with pytest.raises(BenchError, match="wrong answer"):
                bench_gateway.check_answer(url, body, None, streamed=streamed)


def test_a_server_that_dies_or_never_answers_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    dies = [sys.executable, "-c", "raise SystemExit('no such option')"]
    with pytest.raises(BenchError, match="no such option"), running(dies, log, port=free_port(), ready_path="/"):
        pass
    mark = "import time; time.sleep(61)"
    sleeps = [sys.executable, "-c", mark]
    with (
        pytest.raises(BenchError, match="not ready"),
        running(sleeps, log, port=free_port(), ready_path="/", seconds=0.3),
    ):
        pass
    assert not [one for one in psutil.Process().children(recursive=True) if mark in one.cmdline()]


def test_missing_programs_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None if name == "wrk" else f"/bin/{name}")
    with pytest.raises(BenchError, match="wrk not found"):
        bench_upstream.find_tools()


def test_everything_listens_on_loopback_only(tmp_path: Path) -> None:
    assert HOST == "127.0.0.1"
    assert f"listen {HOST}:8099;" in bench_upstream.nginx_config(tmp_path, 8099)
