"""Which terms hit text that should pass: a look at a list before it is installed."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from compliance.keywords.scanner import KeywordScanner
from compliance.lexicon import Term
from compliance.pipeline import Pipeline
from compliance.taxonomy import read_text
from compliance.verdict import RulesError


def read_sentences(path: Path) -> Iterator[str]:
    """The lines of a text file, or the `text` or `prompt` of each object in a file that ends in .jsonl."""
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        yield _text_of(path, number, line) if path.suffix == ".jsonl" else line


def _text_of(path: Path, number: int, line: str) -> str:
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        row = None
    text = (row.get("text") or row.get("prompt")) if isinstance(row, dict) else None
    if not isinstance(text, str):
        raise RulesError(
            f'{path}:{number}: write an object with a "text"', f'{path}:{number}：请写成含 "text" 的 JSON 对象'
        )
    return text


def hits(pipeline: Pipeline, terms: Iterable[Term], sentences: Iterable[str]) -> list[tuple[Term, int]]:
    """How many sentences each term hits, most first; terms that hit none are left out."""
    counts: Counter[str] = Counter()
    for sentence in sentences:
        verdict = pipeline.scan(sentence, "output", only={KeywordScanner.name})
        counts.update({finding.rule for finding in verdict.findings})
    by_rule = {term.rule: term for term in terms}
    return [(by_rule[rule], count) for rule, count in counts.most_common() if rule in by_rule]
