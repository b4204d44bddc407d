"""Texts and random word lists for the scanning benchmarks."""

import random
from pathlib import Path

from compliance.unicode import fold

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
SEED = 20241124
_COMMON = 3500
"""The first so many Chinese characters of Unicode; they stand for the vocabulary of a word list."""

_STROKES = "丨丶丿亅"
"""Single strokes, which are no words and which disguises take for separators."""


def random_terms(count: int) -> list[str]:
    """Terms of two to five characters of which no part longer than one stands in the texts."""
    rng = random.Random(SEED)
    texts = CLEAN + FOUND + ENGLISH
    terms: set[str] = set()
    while len(terms) < count:
        # Folded, because a traditional and a simplified form are the same term, and a list holds no term twice.
        term = fold("".join(chr(0x4E00 + rng.randrange(_COMMON)) for _ in range(rng.randint(2, 5))))
        if term not in texts and not set(term) & set(_STROKES):
            terms.add(term)
    return sorted(terms)


def write_terms(folder: Path, terms: list[str], foldings: str) -> Path:
    """A word list of these terms, all with the same foldings."""
    path = folder / "random.tsv"
    rows = "".join(f"{term}\tother_illegal\thigh\t{foldings}\n" for term in terms)
    path.write_text("term\trisk\tseverity\tfoldings\n" + rows, encoding="utf-8")
    return path
