"""An evaluation in a few lines: for the terminal, and for the artefact's card."""

from quantize.evaluate.result import PAGE, Evaluation

OPENS, CLOSES = "<!-- evaluation -->", "<!-- /evaluation -->"


def summary_rows(evaluation: Evaluation) -> list[tuple[str, str, str, str]]:
    """The main measures as cells: name, base, variant, rows."""
    text, rows = evaluation.text, []
    rows.append(
        (
            "perplexity / 困惑度",
            f"{text.base_perplexity:.3f}",
            f"{text.variant_perplexity:.3f}",
            f"{text.tokens} tokens",
        )
    )
    rows.append(("KL / token, mean (p99)", "", f"{text.mean_kl_nats:.4f} ({text.p99_kl_nats:.3f})", f"{text.tokens}"))
    rows.append(("top-1 agreement / 首选一致", "", f"{text.agreement.value:.1%}", f"{text.agreement.of}"))
    rows += [(f"task / 任务: {t.kind}", f"{t.base:.3f}", f"{t.variant:.3f}", f"{t.rows}") for t in evaluation.tasks]
    for name, paired in (
        ("refuses harmful / 有害拒答", evaluation.refusals),
        ("refuses ordinary / 正常误拒", evaluation.over_refusals),
        ("answers with findings / 合规发现", evaluation.compliance.any_risk),
    ):
        rows.append((name, f"{paired.base.value:.1%}", f"{paired.variant.value:.1%}", f"{paired.base.of}"))
    size = evaluation.size
    rows.append(("weights / 权重 MiB", f"{size.base_bytes / 2**20:.2f}", f"{size.variant_bytes / 2**20:.2f}", ""))
    if evaluation.serving is not None:
        both = evaluation.serving
        rows.append(("load / 加载 s", f"{both.base.load_seconds:.1f}", f"{both.variant.load_seconds:.1f}", ""))
        rows.append(("memory / 内存 MiB", f"{both.base.memory_mib:.0f}", f"{both.variant.memory_mib:.0f}", ""))
        for before, after in zip(both.base.levels, both.variant.levels, strict=True):
            name = f"tokens/s at {before.concurrent}"
            rows.append(
                (name, f"{before.tokens_per_second:.0f}", f"{after.tokens_per_second:.0f}", f"{before.requests}")
            )
            name = f"first token / 首词元 ms at {before.concurrent}"
            rows.append((name, f"{before.first_token_p50_ms:.0f}", f"{after.first_token_p50_ms:.0f}", ""))
    rows += [(f"lm-eval {t.task} {t.metric}", f"{t.base:.3f}", f"{t.variant:.3f}", "") for t in evaluation.lm_eval]
    return rows


def with_evaluation(card: str, evaluation: Evaluation) -> str:
    """The card with the evaluation between its two marks; as it was when it has none."""
    head, opened, rest = card.partition(OPENS)
    _, closed, tail = rest.partition(CLOSES)
    if not opened or not closed:
        return card
    return f"{head}{OPENS}\n{_section(evaluation)}\n{CLOSES}{tail}"


def _section(evaluation: Evaluation) -> str:
    verdict = evaluation.verdict
    said = "clears every bar / 达到全部门槛" if verdict.admitted else "misses a bar / 未达门槛"
    lines = [
        f"{evaluation.date}: {said}. [{PAGE}]({PAGE})",
        "",
        "| measure 指标 | base 基础 | variant 量化 | rows 数量 |",
    ]
    lines += ["|---|---|---|---|", *("| " + " | ".join(cells) + " |" for cells in summary_rows(evaluation))]
    reasons = [f"- {reason.en} {reason.zh}" for reason in verdict.reasons]
    answers = f"Answers by / 回答来自: {evaluation.answers_path}. Text / 文本指标: {evaluation.text.path}."
    return "\n".join([*lines, *([""] if reasons else []), *reasons, "", answers])
