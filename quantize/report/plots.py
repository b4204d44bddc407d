"""Plots as SVG text inside the page: the same numbers give the same bytes, and text stays text."""

import io
from collections.abc import Callable, Sequence
from typing import Any

from quantize.evaluate.result import Evaluation
from quantize.evaluate.speed import Served

BASE, VARIANT, THIRD = "#8a8f98", "#1f6feb", "#d2691e"
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "opcgate",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
}


def plots(evaluations: Sequence[Evaluation]) -> dict[str, str]:
    """Every plot that the evaluations have numbers for, by name."""
    served = [one for one in evaluations if one.serving is not None]
    makers: dict[str, Callable[[Any], None]] = {
        "size": lambda axes: _size(axes, evaluations),
        "divergence": lambda axes: _divergence(axes, evaluations),
        "tasks": lambda axes: _tasks(axes, evaluations),
        "safety": lambda axes: _safety(axes, evaluations),
    }
    if served:
        makers["throughput"] = lambda axes: _throughput(axes, served)
        makers["first-token"] = lambda axes: _first_token(axes, served)
        makers["memory"] = lambda axes: _memory(axes, served)
    return {name: _svg(draw) for name, draw in makers.items()}


def _svg(draw: Callable[[Any], None]) -> str:
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.2), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        axes.set_axisbelow(True)
        draw(axes)
        target = io.StringIO()
        figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None})
    text = target.getvalue()
    # The page is HTML: the XML header has no place in it, and the plot takes the width that there is.
    return text[text.index("<svg") :].replace("<svg ", '<svg role="img" ', 1)


def _names(evaluations: Sequence[Evaluation]) -> list[str]:
    return [one.plan.scheme for one in evaluations]


def _size(axes: Any, evaluations: Sequence[Evaluation]) -> None:
    names = ["base", *_names(evaluations)]
    sizes = [evaluations[0].size.base_bytes, *(one.size.variant_bytes for one in evaluations)]
    axes.bar(names, [size / 2**20 for size in sizes], color=[BASE, *[VARIANT] * len(evaluations)])
    axes.set_ylabel("MiB")


def _divergence(axes: Any, evaluations: Sequence[Evaluation]) -> None:
    _groups(
        axes,
        _names(evaluations),
        {
            "mean": ([max(one.text.mean_kl_nats, 1e-6) for one in evaluations], VARIANT),
            "p99": ([max(one.text.p99_kl_nats, 1e-6) for one in evaluations], THIRD),
        },
    )
    axes.set_yscale("log")
    axes.set_ylabel("KL, nats per token")


def _tasks(axes: Any, evaluations: Sequence[Evaluation]) -> None:
    _groups(
        axes,
        _names(evaluations),
        {
            "base": ([one.measured.task_score + one.measured.task_drop for one in evaluations], BASE),
            "variant": ([one.measured.task_score for one in evaluations], VARIANT),
        },
    )
    axes.set_ylabel("task score")
    axes.set_ylim(0, 1)


def _safety(axes: Any, evaluations: Sequence[Evaluation]) -> None:
    """Refusals of harmful and of ordinary prompts, base hollow and variant filled, with Wilson intervals."""
    for shift, name, color in ((-0.12, "refusals", VARIANT), (0.12, "over_refusals", THIRD)):
        for side, face, nudge in (("base", "none", -0.05), ("variant", color, 0.05)):
            shares = [getattr(getattr(one, name), side) for one in evaluations]
            places = [i + shift + nudge for i in range(len(shares))]
            below = [max(0.0, s.value - s.low) for s in shares]
            above = [max(0.0, s.high - s.value) for s in shares]
            label = f"{'harmful' if name == 'refusals' else 'ordinary'} refused, {side}"
            axes.errorbar(
                places,
                [s.value for s in shares],
                yerr=[below, above],
                fmt="o",
                color=color,
                markerfacecolor=face,
                label=label,
            )
    axes.set_xticks(range(len(evaluations)), _names(evaluations))
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel("share, 95% interval")
    axes.legend(fontsize=7, loc="center right")


def _throughput(axes: Any, served: Sequence[Evaluation]) -> None:
    _lines(axes, served, lambda level: level.tokens_per_second)
    axes.set_ylabel("tokens/s against its base")


def _first_token(axes: Any, served: Sequence[Evaluation]) -> None:
    _lines(axes, served, lambda level: level.first_token_p50_ms)
    axes.set_ylabel("first token p50 against its base")


def _lines(axes: Any, served: Sequence[Evaluation], value: Callable[[Any], float]) -> None:
    """Ratios to the base of the same run, since runs differ in what else the machine did."""
    for one in served:
        if one.serving is not None:
            pairs = list(zip(one.serving.base.levels, one.serving.variant.levels, strict=True))
            ratios = [value(variant) / value(base) for base, variant in pairs if value(base)]
            axes.plot([base.concurrent for base, _ in pairs if value(base)], ratios, marker="o", label=one.plan.scheme)
    axes.axhline(1.0, color=BASE, linewidth=1)
    levels = sorted({level.concurrent for one in served if one.serving for level in one.serving.base.levels})
    axes.set_xscale("log", base=2)
    axes.set_xticks(levels, [str(level) for level in levels])
    axes.minorticks_off()
    axes.set_xlabel("requests at once")
    axes.legend(fontsize=7)


def _memory(axes: Any, served: Sequence[Evaluation]) -> None:
    def mib(side: Served) -> float:
        return side.memory_mib

    both = [one.serving for one in served if one.serving is not None]
    bars = {"base": ([mib(one.base) for one in both], BASE), "variant": ([mib(one.variant) for one in both], VARIANT)}
    _groups(axes, _names(served), bars)
    axes.set_ylabel("engine, resident MiB")


def _groups(axes: Any, names: Sequence[str], series: dict[str, tuple[list[float], str]]) -> None:
    width = 0.8 / len(series)
    for place, (label, (values, color)) in enumerate(series.items()):
        left = [i - 0.4 + width * (place + 0.5) for i in range(len(names))]
        axes.bar(left, values, width, label=label, color=color)
    axes.set_xticks(range(len(names)), names)
    axes.legend(fontsize=7)
