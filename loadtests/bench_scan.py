"""What scanning costs, beside a plain Aho-Corasick pass and Presidio's own recognizers, in one run.

`python -m loadtests.bench_scan` prints a markdown table. Every figure is the fastest of many repeats,
because whatever else runs on the machine can only add to it.
"""

import argparse
import random
import tempfile
import timeit
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import ahocorasick_rs

from compliance.build import build_pipeline, shipped_settings
from compliance.pipeline import Pipeline
from compliance.unicode import Folder, fold

TERMS = 20_000
CLEAN = (
    "我们公司主要做跨境电商，产品包括家居用品、厨房小家电和宠物用品。最近在准备一款新的便携榨汁机，希望能写一段适合"
    "亚马逊的商品描述，突出容量、续航和清洗方便这三个卖点。语气要自然，不要太夸张，也不要用绝对化的词语。另外请给出"
    "五个关键词和一个标题，标题不超过八十个字符，适合夏天户外使用的场景，谢谢！我们还会准备几张产品图片，请在描述里"
    "提醒买家查看图片细节。"
)
FOUND = (
    "收货人：张伟，电话13800138000，身份证11010519491231002X，地址：浙江省杭州市西湖区文三路138号2幢301室，邮箱"
    "zhang.wei@example.com，银行卡6228480402564890018。"
)
ENGLISH = "This compact blender charges by USB-C, cleans itself in 30 seconds and is perfect for outdoor use. "


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--repeats", type=int, default=30, help="repeats of each figure; the fastest counts")
    arguments.add_argument("--no-presidio", action="store_true", help="leave Presidio's own recognizers out")
    given = arguments.parse_args()
    rng = random.Random(20241124)
    with tempfile.TemporaryDirectory() as folder:
        pipeline = with_random_terms(Path(folder), rng)
    pipeline.warm_up()
    print(f"| what ({TERMS:,} random terms and the shipped list) | cost |\n|---|---|")
    for name, microseconds in figures(pipeline, rng, given.repeats):
        print(f"| {name} | {readable(microseconds)} |", flush=True)
    if not given.no_presidio:
        print(f"| Presidio's predefined recognizers, blank spaCy zh, 200 clean | {presidio(given.repeats)} |")


def with_random_terms(folder: Path, rng: random.Random) -> Pipeline:
    """The shipped rules and 20,000 random terms of two to five common characters, none of them in the texts."""
    path = folder / "random.tsv"
    path.write_text("".join(f"{term}\tother_illegal\thigh\n" for term in random_terms(rng)), encoding="utf-8")
    settings = shipped_settings()
    return build_pipeline(settings.model_copy(update={"lexicons": (*settings.lexicons, path)}))


def random_terms(rng: random.Random) -> list[str]:
    common = [chr(code) for code in range(0x4E00, 0x4E00 + 3500)]
    texts = fold(CLEAN + FOUND + ENGLISH)
    terms: set[str] = set()
    while len(terms) < TERMS:
        term = "".join(rng.choice(common) for _ in range(rng.randint(2, 5)))
        if fold(term) not in texts:
            terms.add(term)
    return sorted(terms)


def figures(pipeline: Pipeline, rng: random.Random, repeats: int) -> Iterator[tuple[str, float]]:
    """Every figure in microseconds, the floor first."""
    clean = (CLEAN * 2)[:200]
    found = (CLEAN[: 200 - len(FOUND)] + FOUND)[:200]
    english = (ENGLISH * 3)[:200]
    floor = ahocorasick_rs.AhoCorasick(random_terms(rng))
    folded = fold(clean)
    yield (
        "plain ahocorasick_rs pass, 200 Chinese characters",
        fastest(lambda: floor.find_matches_as_indexes(folded), repeats),
    )
    yield "Unicode stage alone, 200 clean Chinese characters", fastest(lambda: Folder().feed(clean), repeats)
    yield "whole pipeline, 200 clean Chinese characters", fastest(lambda: pipeline.scan(clean, "output"), repeats)
    yield "whole pipeline, 200 clean English characters", fastest(lambda: pipeline.scan(english, "output"), repeats)
    count = len(pipeline.scan(found, "output").findings)
    yield (
        f"whole pipeline, 200 characters with {count} findings",
        fastest(lambda: pipeline.scan(found, "output"), repeats),
    )
    for size in (1, 2, 3):
        deltas = [clean[at : at + size] for at in range(0, len(clean), size)]
        whole = fastest(lambda deltas=deltas: stream(pipeline, deltas), repeats)  # type: ignore[misc]
        yield f"per streamed delta of {size} clean Chinese character{'s'[: size > 1]}", whole / len(deltas)
    words = [english[at : at + 4] for at in range(0, len(english), 4)]
    yield "per streamed delta of 4 English characters", fastest(lambda: stream(pipeline, words), repeats) / len(words)
    for size in (2_000, 20_000, 200_000, 2_000_000):
        text = (CLEAN * (size // len(CLEAN) + 1))[:size]
        cost = fastest(lambda text=text: pipeline.scan(text, "output"), 3)  # type: ignore[misc]
        yield f"whole pipeline, {size:,} characters ({cost / size * 200:.0f} µs per 200)", cost


def stream(pipeline: Pipeline, deltas: list[str]) -> None:
    gate = pipeline.gate()
    for delta in deltas:
        gate.feed(delta)
    gate.flush()


def fastest(run: Callable[[], object], repeats: int) -> float:
    """The fastest repeat of `run`, in microseconds a call."""
    once = min(timeit.repeat(run, number=1, repeat=3))
    number = max(1, min(500, int(0.01 / max(once, 1e-9))))
    return min(timeit.repeat(run, number=number, repeat=repeats)) / number * 1e6


def presidio(repeats: int) -> str:
    """Presidio's engine with the recognizers it brings, on the clean text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import spacy
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
        from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine

        class BlankEngine(SpacyNlpEngine):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__(ner_model_configuration=NerModelConfiguration(labels_to_ignore=[]))
                self.nlp = {"zh": spacy.blank("zh")}

        registry = RecognizerRegistry(supported_languages=["zh"])
        registry.load_predefined_recognizers(languages=["zh"])
        engine = AnalyzerEngine(registry=registry, nlp_engine=BlankEngine(), supported_languages=["zh"])
        text = (CLEAN * 2)[:200]
        return readable(fastest(lambda: engine.analyze(text, language="zh"), min(repeats, 10)))


def readable(microseconds: float) -> str:
    return f"{microseconds:.1f} µs" if microseconds < 10_000 else f"{microseconds / 1000:.0f} ms"


if __name__ == "__main__":
    main()
