"""`opcgate label`: put labels into files, show and verify them, check a provider code, print the public key."""

from pathlib import Path
from typing import Annotated, NoReturn, cast, get_args

import typer

from compliance.labels.errors import LabelError
from compliance.labels.files import check_file, label_file, read_file
from compliance.labels.formats.visible import SHOWN
from compliance.labels.ids import time_of
from compliance.labels.label import Label
from compliance.labels.labels import Labels, build_labels
from compliance.labels.provider import parse_provider_code
from compliance.labels.rules import LabelRules, load_label_rules
from compliance.labels.seal import Keys
from compliance.labels.signing_key import key_id, load_key, parse_public_key
from compliance.verdict import ComplianceError
from configs.loader import SettingsError, load_settings
from configs.schema import LabelPosition, LabelSettings

VERIFIED, NOT_VERIFIED, ERROR = 0, 1, 2

label = typer.Typer(
    help="Label generated files; show and verify labels. / 为生成内容添加、查看、验证标识。",
    no_args_is_help=True,
    add_completion=False,
)
File = Annotated[Path, typer.Argument(help="Markdown, text, HTML, JSON, JSONL, CSV, TSV, SVG or PNG.")]
ConfigPath = Annotated[
    Path | None,
    typer.Option("--config", help="Settings file; default $OPCGATE_CONFIG or configs/opcgate.yaml."),
]


@label.command()
def add(
    file: File,
    model: Annotated[str, typer.Option(help="The model that generated the content; named in the visible text.")],
    notice: Annotated[
        str, typer.Option(help="Where the visible text goes: start, end, both, or corner for nowhere in the file.")
    ] = "end",
    config: ConfigPath = None,
) -> None:
    """Label a generated file; a label that is there is kept and passed on. / 添加标识；已有标识会保留。"""
    if notice not in get_args(LabelPosition):
        _fail(f"--notice: use {', '.join(get_args(LabelPosition))} / --notice：请用上述值之一")
    try:
        made = label_file(file, _labels(config), model=model, position=cast("LabelPosition", notice))
    except ComplianceError as error:
        _fail(str(error))
    typer.echo(made.json())
    if file.suffix.lower() not in SHOWN:
        typer.echo(
            "this format shows no text by itself: show the label beside the content / 请在内容旁展示标识",
            err=True,
        )


@label.command()
def show(file: File) -> None:
    """Print a file's label. / 显示文件标识。"""
    rules = load_label_rules()
    try:
        found = read_file(file, rules).label
    except LabelError as error:
        _fail(str(error))
    if found is None:
        typer.echo(f"{file}: no label / 没有标识", err=True)
        raise typer.Exit(NOT_VERIFIED)
    typer.echo(found.json())
    for line in _explained(found, rules):
        typer.echo(line, err=True)


def _explained(found: Label, rules: LabelRules) -> list[str]:
    meaning = rules.implicit.values.get(found.label)
    lines = [f"{meaning.en} / {meaning.zh}"] if meaning else []
    for role, provider, content_id in (
        ("produced by / 生成者", found.producer, found.produce_id),
        ("passed on by / 传播者", found.propagator, found.propagate_id),
    ):
        try:
            when = f"{time_of(content_id):%Y-%m-%d %H:%M:%S} UTC"
        except ValueError:
            when = "time unknown / 时间未知"
        lines.append(f"{role} {provider}, {when}")
    return lines


@label.command()
def verify(
    file: File,
    public_key: Annotated[
        list[str] | None, typer.Option(help="Trust this key too, as `label key` prints it; may be repeated.")
    ] = None,
    config: ConfigPath = None,
) -> None:
    """Verify a file's label; exit code 0: it holds, 1: it does not, 2: error. / 验证标识：0 有效，1 无效，2 出错。"""
    rules = load_label_rules()
    try:
        found = read_file(file, rules).label
        if found is None:
            typer.echo(f"{file}: no label / 没有标识", err=True)
            raise typer.Exit(NOT_VERIFIED)
        made, problems = check_file(file, _trusted(config, public_key or []), rules)
    except ComplianceError as error:
        _fail(str(error))
    for problem in problems:
        typer.echo(f"{file}: {problem}", err=True)
    if problems:
        raise typer.Exit(NOT_VERIFIED)
    typer.echo(f"{file}: verified / 验证通过: {made.produce_id}")


@label.command()
def key(config: ConfigPath = None) -> None:
    """Print the public key that verifies this deployment's labels; made when there is none yet. / 显示验证公钥。"""
    signing = _labels(config).key
    typer.echo(signing.public_text)
    typer.echo(f"key id / 密钥编号: {signing.id}", err=True)


@label.command()
def provider(code: Annotated[str, typer.Argument(help="27 characters.")]) -> None:
    """Check a provider code and print its parts. / 检查服务提供者编码。"""
    rules = load_label_rules()
    try:
        parts = parse_provider_code(code, rules)
    except LabelError as error:
        _fail(str(error))
    for part in rules.provider_code.parts:
        typer.echo(f"{parts[part.name]:<20}{part.en} / {part.zh}")


def _settings(config: Path | None) -> LabelSettings:
    try:
        return load_settings(config).labels
    except SettingsError as error:
        _fail(str(error))


def _labels(config: Path | None) -> Labels:
    try:
        return build_labels(_settings(config))
    except ComplianceError as error:
        _fail(str(error))


def _trusted(config: Path | None, given: list[str]) -> Keys:
    """The keys given, and this deployment's own where it has one; verifying never makes a key."""
    keys = {key_id(one): one for one in map(parse_public_key, given)}
    path = _settings(config).key_file
    try:
        own = load_key(path)
    except FileNotFoundError:
        if not keys:
            raise LabelError(
                f"there is no key in {path}; name the maker's key with --public-key",
                f"{path} 中没有密钥，请用 --public-key 提供签名者的公钥",
            ) from None
        return keys
    except OSError as error:
        raise LabelError(f"{path}: cannot be read ({error.strerror})", f"{path}：无法读取") from None
    return {**keys, own.id: own.public}


def _fail(message: str) -> NoReturn:
    typer.echo(f"opcgate label: {message}", err=True)
    raise typer.Exit(ERROR)
