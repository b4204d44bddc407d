"""One quantization run, from a catalog model to an artefact folder."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.schema import CatalogSettings
from models.catalog import ROOT
from models.manifest import ArtefactError, CalibrationRef, artefact_digest, read_manifest
from quantize.calibration.reading import Calibration, read_calibration
from quantize.calibration.tokens import Tokens, tokenize
from quantize.errors import CalibrationError, CannotWrite, OutputTaken, QuantizeError
from quantize.run.base import Base, find_base
from quantize.run.finish import finish
from quantize.run.place import Place, refuse_foreign, working_at
from quantize.run.schemes import SchemeFacts, scheme_facts
from quantize.run.size import Room, check_room, room_here
from quantize.run.worker import Patience, Worker, started, worker_command
from quantize.run.workers.messages import PROTOCOL, Job, Progress

Report = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Request:
    """What to make. `rows` takes only so many of the calibration file's rows; `out` must be free or ours."""

    model: str
    scheme: str
    out: Path
    calibration: Path | None = None
    seed: int = 7
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """A finished artefact. `reused` says that it was there already; `resumed` that its weights were."""

    out: Path
    digest: str
    scheme: str
    device: str
    base_bytes: int
    bytes: int
    seconds: float
    calibration_rows: int = 0
    calibration_tokens: int = 0
    rows_cut: int = 0
    rows_duplicate: int = 0
    reused: bool = False
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class _Data:
    """The calibration data of a run."""

    file: Calibration
    tokens: Tokens

    @property
    def reference(self) -> CalibrationRef:
        return CalibrationRef(sha256=self.file.sha256, rows=len(self.tokens.rows), tokens=self.tokens.count)


def silent(_progress: Progress) -> None:
    """A report for callers that show none."""


def quantize_model(
    catalog: CatalogSettings,
    request: Request,
    report: Report = silent,
    *,
    root: Path = ROOT,
    room: Room | None = None,
    patience: Patience | None = None,
) -> Made:
    """Make the artefact, or finish what an interrupted run began. Raises QuantizeError.

    Everything that can be refused is refused before the tool is loaded. `root` is where the catalog's relative paths
    begin; `room` and `patience` are this machine's and the usual ones unless given.
    """
    began = time.monotonic()
    scheme = scheme_facts(request.scheme)
    base = find_base(catalog, request.model, root)
    out = request.out.absolute()
    refuse_foreign(out)
    data = _calibration(base, scheme, request, report)
    check_room(base, scheme, data.tokens.count if data else 0, room or room_here(out))
    command = worker_command(scheme.tool)
    try:
        with working_at(out) as place, started(command, place.log, patience) as worker:
            if out.is_dir() and any(out.iterdir()):
                return _reuse(out, base, scheme, request, data, worker.tools)
            facts, resumed = _weights(place, worker, base, scheme, request, data, report)
            report(Progress("finish", 0, 0))
            reference = data.reference if data else None
            digest = finish(place.artefact, base, scheme, reference, request.seed, worker.tools, facts)
            place.publish()
    except OSError as error:
        raise CannotWrite(
            f"{error.filename or out}: can't be written ({error.strerror}); mend it and run the same command again.",
            "文件无法写入（可能磁盘已满），请处理后重新运行同一命令。",
        ) from None
    except ArtefactError as error:
        raise QuantizeError(error.en, error.zh) from None
    return _made(out, digest, base, scheme, data, facts["device"], time.monotonic() - began, resumed=resumed)


def _calibration(base: Base, scheme: SchemeFacts, request: Request, report: Report) -> _Data | None:
    """The data as tokens; None for a scheme without any, whose file is checked all the same if one is given."""
    if request.calibration is None:
        if scheme.least_rows:
            raise CalibrationError(
                f"scheme {scheme.name} needs calibration data; give a file with --calibration.",
                f"方案 {scheme.name} 需要校准数据，请用 --calibration 指定文件。",
            )
        return None
    if request.rows is not None and request.rows < max(1, scheme.least_rows):
        raise CalibrationError(
            f"--rows {request.rows}: scheme {scheme.name} needs at least {max(1, scheme.least_rows)} rows.",
            f"--rows {request.rows}：方案 {scheme.name} 至少需要 {max(1, scheme.least_rows)} 条数据。",
        )
    report(Progress("calibration", 0, 0))
    file = read_calibration(request.calibration, scheme.least_rows)
    if not scheme.least_rows:
        return None
    return _Data(file, tokenize(file, base.folder, base.context_tokens, request.rows))


def _weights(
    place: Place,
    worker: Worker,
    base: Base,
    scheme: SchemeFacts,
    request: Request,
    data: _Data | None,
    report: Report,
) -> tuple[dict[str, Any], bool]:
    """Have the weights made, unless an interrupted run of the very same job got that far."""
    place.begin(_identity(base, scheme, request.seed, data, worker.tools))
    facts = place.finished_weights()
    if facts is not None:
        return facts, True
    place.empty_artefact()
    if data:
        place.write(place.tokens.name, "".join(f"{json.dumps(row)}\n" for row in data.tokens.rows))
    tokens_file = str(place.tokens) if data else None
    job = Job(PROTOCOL, scheme.name, str(base.folder), str(place.artefact), tokens_file, request.seed)
    result = worker.run(job, report)
    facts = {"device": result.device, "settings": result.settings}
    place.weights_are_finished(facts)
    return facts, False


def _identity(base: Base, scheme: SchemeFacts, seed: int, data: _Data | None, tools: dict[str, str]) -> dict[str, Any]:
    calibration = data.reference.model_dump() if data else None
    return {"base": base.digest, "scheme": scheme.name, "seed": seed, "calibration": calibration, "tools": tools}


def _reuse(
    out: Path, base: Base, scheme: SchemeFacts, request: Request, data: _Data | None, tools: dict[str, str]
) -> Made:
    """The artefact that is there, if this very run would make it again and every file in it is whole."""
    try:
        manifest, digest = read_manifest(out), artefact_digest(out)
    except ArtefactError as error:
        raise OutputTaken(
            f"{error.en} It is in the way: remove {out}, or choose another --out.",
            f"{error.zh}请移除 {out}，或另选 --out。",
        ) from None
    there = {
        "base": manifest.base.digest,
        "scheme": manifest.scheme,
        "seed": manifest.seed,
        "calibration": manifest.calibration.model_dump() if manifest.calibration else None,
        "tools": manifest.tools,
    }
    wanted = _identity(base, scheme, request.seed, data, tools)
    differing = [name for name, value in wanted.items() if there[name] != value]
    if differing:
        raise OutputTaken(
            f"{out}: holds another artefact (differs in {', '.join(differing)}); it stays as it is. "
            "Remove it, or choose another --out.",
            f"{out}：已有另一个量化产物，不会被覆盖。请移除或另选 --out。",
        )
    return _made(out, digest, base, scheme, data, "", 0.0, reused=True)


def _made(
    out: Path,
    digest: str,
    base: Base,
    scheme: SchemeFacts,
    data: _Data | None,
    device: str,
    seconds: float,
    *,
    reused: bool = False,
    resumed: bool = False,
) -> Made:
    tokens = data.tokens if data else None
    return Made(
        out=out,
        digest=digest,
        scheme=scheme.name,
        device=device,
        base_bytes=base.weights_bytes,
        bytes=sum(path.stat().st_size for path in out.glob("*.safetensors")),
        seconds=round(seconds, 1),
        calibration_rows=len(tokens.rows) if tokens else 0,
        calibration_tokens=tokens.count if tokens else 0,
        rows_cut=tokens.cut if tokens else 0,
        rows_duplicate=data.file.duplicates if data else 0,
        reused=reused,
        resumed=resumed,
    )
