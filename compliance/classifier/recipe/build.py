"""Build the classifier: thresholds and held-out figures from a fit that did not see their blocks, weights from all."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from compliance.classifier.artefact import write_artefact
from compliance.classifier.model import RiskClassifier
from compliance.classifier.recipe.blocks import DATA, load_blocks
from compliance.classifier.recipe.card import write_card
from compliance.classifier.recipe.fit import Corpus, Progress, Recipe, fit, with_thresholds
from compliance.classifier.recipe.measure import Scores, measure
from compliance.classifier.recipe.tables import read_table


def build(
    out: Path, card: Path, tables: Sequence[Path], recipe: Recipe, progress: Progress, data: Path = DATA
) -> RiskClassifier:
    """Write the artefact and its card, and return the classifier. Takes about two minutes on one core."""
    corpus = Corpus(*load_blocks(data))
    judged = with_thresholds(fit(corpus, "train", recipe, progress), corpus, recipe)
    progress("held-out figures", 0.0)
    test = measure(RiskClassifier(judged).judge, corpus.sentences("test", recipe.held_out, recipe.seed))
    whole = fit(corpus, "all", recipe, progress)
    shipped = replace(whole, threshold=judged.threshold, slope=judged.slope)
    digest = write_artefact(out, shipped)
    classifier = RiskClassifier.load(out)
    by_hand = {path.stem: evaluate(classifier, [path]) for path in tables}
    if tables:
        by_hand["all"] = evaluate(classifier, tables)
    facts = {
        "digest": digest,
        "bytes": f"{out.stat().st_size:,}",
        "features": f"{len(shipped.features):,}",
        "gate": f"{int((shipped.gate > 0).sum()):,}",
        "blocks": f"{_blocks(corpus):,}",
        "data_digest": _digest(data),
        "sentences": _sentences(corpus, recipe),
        "recipe": repr(recipe),
        "budget": f"{recipe.budget.all_risks:.1%}",
        "tables": ", ".join(f"`{path.name}`" for path in tables) or "none",
    }
    write_card(card, shipped, facts, test, by_hand)
    progress("done", 1.0)
    return classifier


def evaluate(classifier: RiskClassifier, tables: Sequence[Path]) -> Scores:
    """Judge the rows of tables."""
    risks = frozenset(classifier.risks)
    return measure(classifier.judge, [row for path in tables for row in read_table(path, risks)])


def _blocks(corpus: Corpus) -> int:
    return len(
        {block for one in (*corpus.risks, *corpus.ordinary) for blocks in one.lists.values() for block in blocks}
    )


def _sentences(corpus: Corpus, recipe: Recipe) -> str:
    made = corpus.sentences("all", recipe.training, recipe.seed)
    harmful = sum(bool(one.risks) for one in made)
    return f"{harmful:,} harmful and {len(made) - harmful:,} harmless"


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.yaml")):
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
