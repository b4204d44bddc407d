"""`opcgate quantize …`: make quantized variants of a catalog model, measure them, admit them."""

import typer

quantize = typer.Typer(
    no_args_is_help=True, help="Quantize a model, measure the result, admit it. / 量化、评估与准入。"
)


@quantize.callback()
def _quantize() -> None:
    """Quantized variants of a catalog model. / 目录模型的量化版本。"""
