"""`opcgate classifier …`: build the risk classifier, and measure it on a table."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from compliance.classifier.artefact import SHIPPED
from compliance.verdict import RulesError

classifier = typer.Typer(
    no_args_is_help=True, help="Build and measure the classifier over the 31 risks. / 构建并评测 31 类风险分类器。"
)

_CARD = Path(__file__).parent / "card.md"


@classifier.command()
def build(
    out: Annotated[Path, typer.Option(help="The file to write.")] = SHIPPED,
    card: Annotated[Path, typer.Option(help="The card to write.")] = _CARD,
    table: Annotated[
        list[Path] | None, typer.Option(help='Rows {"risk", "text"} or {"text"} to measure on for the card.')
    ] = None,
) -> None:
    """Train the classifier on sentences that the recipe makes. / 用配方生成的语句训练分类器。"""
    from rich.progress import Progress

    from compliance.classifier.recipe.build import build as build_classifier
    from compliance.classifier.recipe.fit import Recipe

    try:
        with Progress() as bars:
            bar = bars.add_task("", total=1.0)
            made = build_classifier(
                out,
                card,
                table or [],
                Recipe(),
                lambda stage, share: bars.update(bar, description=stage, completed=share),
            )
    except (RulesError, OSError) as error:
        _fail(str(error))
    typer.echo(f"{out}: sha256 {made.digest}")


@classifier.command()
def evaluate(
    table: Annotated[list[Path], typer.Option(help='Rows {"risk", "text"} or, harmless, {"text"}.')],
    artefact: Annotated[Path, typer.Option(help="The classifier's file.")] = SHIPPED,
) -> None:
    """Precision and recall per risk, and false alarms, on tables. / 在用例表上计算各风险的精确率、召回率和误报。"""
    from rich.console import Console
    from rich.table import Table

    from compliance.classifier.model import RiskClassifier
    from compliance.classifier.recipe.build import evaluate as evaluate_tables

    try:
        scores = evaluate_tables(RiskClassifier.load(artefact), table)
    except RulesError as error:
        _fail(str(error))
    shown = Table("risk / 风险", "rows / 条数", "recall / 召回", "precision / 精确", "false alarms / 误报")
    for one in scores.per_risk:
        shares = ("-" if share is None else f"{share:.1%}" for share in (one.recall, one.precision))
        shown.add_row(one.risk, str(one.carried), *shares, str(one.wrong_harmless))
    console = Console()
    console.print(shown)
    console.print(
        f"harmful / 有害: {scores.caught} of {scores.harmful} reported, {scores.hit} with their own risk; "
        f"harmless / 无害: {scores.false_alarms} of {scores.harmless} reported"
    )


def _fail(message: str) -> NoReturn:
    typer.echo(f"opcgate classifier: {message}", err=True)
    raise typer.Exit(2)
