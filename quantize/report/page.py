"""The page."""

from collections.abc import Sequence

from quantize.evaluate.result import Evaluation


def render(evaluations: Sequence[Evaluation]) -> str:
    return "<html></html>"
