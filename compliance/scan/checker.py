"""One run's rules and how they are asked: where the pipeline meets texts, lines of JSON and files."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from compliance.build import build_pipeline, shipped_settings
from compliance.pipeline import Pipeline
from compliance.scan.inputs import AUTO, InputError, Problem, decode, unreadable
from compliance.verdict import ComplianceError, Direction, Surface, Verdict

JSON_SUFFIXES = frozenset({".json", ".jsonl", ".ndjson", ".ipynb", ".geojson"})
"""Files whose escapes are looked through unless a surface is named."""

_DEADLINE_S = 600.0  # nobody waits for a stream here, and files may be large


def pipeline_for(lexicon: list[Path] | None, allow: list[Path] | None, policy: Path | None) -> Pipeline:
    """The shipped rules, or what is to be tried; a tried term list stands alone, with its own allow list."""
    settings = shipped_settings()
    given: dict[str, Any] = {"deadline_seconds": _DEADLINE_S}
    if lexicon:
        given |= {"lexicons": tuple(lexicon), "allow_lists": tuple(allow or ())}
    elif allow:
        given |= {"allow_lists": (*settings.allow_lists, *allow)}
    if policy:
        given["policy"] = policy
    return build_pipeline(settings.model_copy(update=given))


@dataclass(frozen=True, slots=True)
class Scanned:
    """A file and what was found in it: a verdict with the line of each finding, or why there is none."""

    file: str
    encoding: str | None = None
    verdict: Verdict | None = None
    lines: tuple[int, ...] = ()
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Checker:
    """What one run of the command asks for."""

    pipeline: Pipeline
    direction: Direction
    surface: Surface | Literal["auto"]
    encoding: str = AUTO
    max_bytes: int = 0

    def text(self, text: str, file: str = "-") -> Verdict:
        """The verdict of a text; `file` tells whether it is JSON where no surface was named."""
        return self.pipeline.scan(text, self.direction, surface=self._surface_of(file))

    def per_chunk(self, chunks: Iterable[str]) -> list[str]:
        """What a stream of these chunks releases after each, and at its end."""
        gate = self.pipeline.gate(self.direction, surface=self._surface_of("-"))
        return [*(gate.feed(chunk).text for chunk in chunks), gate.flush().text]

    def file(self, path: Path) -> Scanned:
        """A file's verdict, or what kept it from being scanned."""
        name = str(path)
        try:
            decoded = decode(self._bytes(path), name, self.encoding)
            verdict = self.text(decoded.text, name)
        except InputError as error:
            return Scanned(name, problem=error.problem)
        except (ComplianceError, MemoryError) as error:
            reason = str(error) or type(error).__name__
            return Scanned(name, problem=Problem(f"{name}: {reason}", f"{name}：扫描失败（{reason}）"))
        return Scanned(name, decoded.encoding, verdict, _lines(decoded.text, verdict))

    def _bytes(self, path: Path) -> bytes:
        """The file's bytes. It may change while it is read, so the limit is kept by reading no more than that."""
        try:
            if not path.is_file() and path.exists():
                raise InputError(f"{path}: not a regular file; leave it out", f"{path}：不是普通文件，请排除")
            with path.open("rb") as source:
                data = source.read(self.max_bytes + 1)
        except OSError as error:
            raise unreadable(str(path), error) from None
        if len(data) > self.max_bytes:
            raise InputError(
                f"{path}: larger than {self.max_bytes} bytes; split it or raise --max-bytes",
                f"{path}：超过 {self.max_bytes} 字节，请拆分或调大 --max-bytes",
            )
        return data

    def _surface_of(self, file: str) -> Surface:
        if self.surface == "text" or self.surface == "json":
            return self.surface
        return "json" if Path(file).suffix.lower() in JSON_SUFFIXES else "text"


def _lines(text: str, verdict: Verdict) -> tuple[int, ...]:
    """The line of each finding, counted from 1."""
    lines = []
    line, at = 1, 0
    for one in verdict.findings:
        if one.start >= at:
            line += text.count("\n", at, one.start)
        else:
            line -= text.count("\n", one.start, at)
        at = one.start
        lines.append(line)
    return tuple(lines)


def as_dict(verdict: Verdict) -> dict[str, Any]:
    """A verdict as it is printed."""
    return {
        "verdict": str(verdict.action),
        "findings": [asdict(one) for one in verdict.findings],
        "released": verdict.released,
        "rules": verdict.version,
    }
