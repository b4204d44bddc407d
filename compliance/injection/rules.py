"""The patterns of prompt injection as data (configs/injection.yaml). A bad file is rejected whole."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from compliance.injection.words import WordFinder
from compliance.taxonomy import invalid, read_yaml
from compliance.unicode import fold
from compliance.verdict import RulesError, Severity

InjectionType = Literal["injection", "jailbreak", "exfiltration"]
INJECTION_TYPES: tuple[InjectionType, ...] = ("injection", "jailbreak", "exfiltration")

MAX_WORD = 64
MAX_GAP = 80
CLOSE = 3
"""So many characters may stand between two parts that have no number between them."""

Text = Annotated[str, Field(min_length=1)]
Words = Text | list[Text]
Gap = Annotated[int, Field(ge=0, le=MAX_GAP)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _RuleRow(_Strict):
    id: Text
    type: InjectionType
    technique: Text
    severity: Severity
    risk: Text
    zh: Text
    en: Text
    source: Text
    patterns: Annotated[list[Annotated[list[Gap | Words], Field(min_length=1)]], Field(min_length=1)]
    unless_before: list[Text] = []
    across_sentences: bool = False


class _Mentions(_Strict):
    about: list[Text]


class _File(_Strict):
    mentions: _Mentions
    lists: dict[str, list[Text]]
    rules: Annotated[list[_RuleRow], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Rule:
    """What one finding says; `source` names where the technique is described."""

    id: str
    type: InjectionType
    technique: str
    severity: Severity
    risk: str
    zh: str
    en: str
    source: str


@dataclass(frozen=True, slots=True)
class Pattern:
    """Parts that follow one another in a sentence, each one of some words.

    At most `gaps[i]` characters stand between part i and the next. `unless_before`: words that make it harmless
    where they stand shortly before it (never reveal your prompt). `across_sentences`: the parts need not share a
    sentence.
    """

    rule: Rule
    parts: tuple[tuple[str, ...], ...]
    gaps: tuple[int, ...]
    unless_before: tuple[str, ...]
    across_sentences: bool


@dataclass(frozen=True, slots=True)
class InjectionRules:
    """All patterns, folded. Quoted behind a word of `about` an attack is talked about and not made.

    `finders` fills up with what is compiled, so that policies share it.
    """

    patterns: tuple[Pattern, ...]
    about: tuple[str, ...]
    finders: dict[tuple[str, ...], WordFinder] = field(default_factory=dict, compare=False, repr=False)

    def finder(self, words: tuple[str, ...]) -> WordFinder:
        """The compiled words, made when they are first asked for."""
        if words not in self.finders:
            self.finders[words] = WordFinder(words)
        return self.finders[words]

    @property
    def rules(self) -> tuple[Rule, ...]:
        return tuple(dict.fromkeys(pattern.rule for pattern in self.patterns))


def load_injection_rules(path: Path, risks: frozenset[str]) -> InjectionRules:
    """Read and check the file; RulesError names the field and the mend."""
    data = read_yaml(path)
    _check_quotes(path, data)
    try:
        file = _File.model_validate(data)
    except ValidationError as error:
        raise invalid(path, error) from None
    seen: set[str] = set()
    patterns: list[Pattern] = []
    for row in file.rules:
        if row.id in seen:
            raise _bad(path, row.id, "is there twice; rename one", "重复出现，请改名")
        if row.risk not in risks:
            raise _bad(
                path, row.id, f"unknown risk {row.risk!r}; use an id of configs/taxonomy.yaml",
                f"风险 {row.risk!r} 不存在，请用 configs/taxonomy.yaml 里的 id",
            )  # fmt: skip
        seen.add(row.id)
        rule = Rule(row.id, row.type, row.technique, row.severity, row.risk, row.zh, row.en, row.source)
        before = _words(path, row.id, row.unless_before, file.lists)
        for items in row.patterns:
            parts, gaps = _parts(path, row.id, items, file.lists)
            patterns.append(Pattern(rule, parts, gaps, before, row.across_sentences))
    about = _words(path, "mentions", file.mentions.about, file.lists)
    return InjectionRules(tuple(patterns), about)


def _check_quotes(path: Path, data: Any) -> None:
    """YAML reads some words as something else, which deserves a clearer complaint than a wrong type."""
    rows = data.get("rules") if isinstance(data, dict) else None
    for number, row in enumerate(rows if isinstance(rows, list) else ()):
        patterns = row.get("patterns") if isinstance(row, dict) else None
        where = str(row.get("id", f"rules.{number}")) if isinstance(row, dict) else ""
        for item in _leaves(patterns):
            if isinstance(item, bool) or not isinstance(item, str | int):
                raise _bad(
                    path, where, "a word that YAML takes for something else (yes, no, off, null, one before a colon) "
                    "needs quotation marks", "YAML 会误读的词（yes、no、off、null、小数、冒号前的词）须加引号",
                )  # fmt: skip


def _leaves(items: Any) -> Iterator[Any]:
    for item in items if isinstance(items, list) else ():
        if isinstance(item, list):
            yield from _leaves(item)
        else:
            yield item


def _parts(
    path: Path, where: str, items: Iterable[int | Words], lists: Mapping[str, list[str]]
) -> tuple[tuple[tuple[str, ...], ...], tuple[int, ...]]:
    """The words of each part, and the gaps between the parts."""
    parts: list[tuple[str, ...]] = []
    gaps: list[int] = []
    for item in items:
        if isinstance(item, int):
            gaps.append(item)
        else:
            if parts and len(gaps) < len(parts):
                gaps.append(CLOSE)
            parts.append(_words(path, where, [item] if isinstance(item, str) else item, lists))
        if len(gaps) > len(parts):
            break
    if len(gaps) != len(parts) - 1:
        raise _bad(path, where, "a number must stand between two parts", "数字须写在两个部分之间")
    if any(len(word) < 2 for word in parts[0]):
        raise _bad(path, where, "a word of a first part needs two characters", "第一部分的词语至少两个字符")
    return tuple(parts), tuple(gaps)


def _words(path: Path, where: str, given: Iterable[str], lists: Mapping[str, list[str]]) -> tuple[str, ...]:
    """Words folded, `$name` replaced by the list of that name, the shortest first: a match ends as soon as it can."""
    words: list[str] = []
    for one in given:
        if not one.startswith("$"):
            words.append(one)
        elif one[1:] in lists:
            words += lists[one[1:]]
        else:
            raise _bad(path, where, f"unknown list {one}; add it under lists", f"未知的列表 {one}，请在 lists 下添加")
    folded = sorted({fold(word).strip() for word in words}, key=lambda word: (len(word), word))
    for word in folded:
        if not 1 <= len(word) <= MAX_WORD:
            raise _bad(
                path, where, f"a word must have 1 to {MAX_WORD} visible characters",
                f"词语长度须为 1 至 {MAX_WORD} 个可见字符",
            )  # fmt: skip
    return tuple(folded)


def _bad(path: Path, where: str, en: str, zh: str) -> RulesError:
    return RulesError(f"{path}: {where}: {en}", f"{path}：{where}：{zh}")
