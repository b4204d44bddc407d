"""`opcgate policy`: list policies, show where each value comes from, and run a table of cases."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from compliance.build import build_rules, known_to_policies, policy_shelf
from compliance.guards.rules import guard_rules
from compliance.policies.cases import Failure, failures, read_cases
from compliance.policies.policy import Leaf, Policy
from compliance.policies.shelf import DEFAULT, SUFFIX
from compliance.verdict import ComplianceError, RulesError
from configs.loader import SettingsError, load_settings
from configs.schema import ComplianceSettings, GuardSettings, Settings

PASSED, FAILED, ERROR = 0, 1, 2
_DEADLINE_S = 600.0  # nobody waits for a stream here, and texts may be long

policy = typer.Typer(help="List, show and test policies. / 查看与测试策略。", no_args_is_help=True)
ConfigPath = Annotated[
    Path | None,
    typer.Option("--config", help="Settings file; default $OPCGATE_CONFIG or configs/opcgate.yaml."),
]
NameOrFile = "Name of a policy, or a policy file."


@policy.command("list")
def list_command(config: ConfigPath = None) -> None:
    """List every policy by name, what it is made of, and what is wrong with it. / 列出策略。"""
    from rich.console import Console
    from rich.table import Table

    settings = _settings(config)
    shelf = policy_shelf(settings.compliance, _names(settings.guards))
    table = Table("name / 名称", "made of / 继承", "dry run / 试运行")
    table.add_column("file / 文件", overflow="fold")
    bad: list[str] = []
    for name, path in shelf.paths().items():
        try:
            found = shelf.stack((DEFAULT, name))
            table.add_row(name, found.name, "yes" if found.dry_run else "", str(path))
        except RulesError as error:
            bad.append(str(error))
            table.add_row(name, "[red]error[/red]", "", str(path))
    Console().print(table)
    if bad:
        _fail("\n".join(bad))


@policy.command()
def show(
    names: Annotated[list[str], typer.Argument(help=f"{NameOrFile} Several are laid over one another in this order.")],
    effective: Annotated[bool, typer.Option(help="With all that is inherited.")] = False,
    config: ConfigPath = None,
) -> None:
    """Print a policy's values and the file that each comes from. / 显示策略及各值的来源。"""
    settings = _settings(config)
    try:
        first, layers = _with_default(settings.compliance, names[0])
        found = policy_shelf(first, _names(settings.guards)).stack((DEFAULT, *layers, *names[1:]))
    except ComplianceError as error:
        _fail(str(error))
    own = found.name.rpartition(">")[2]
    typer.echo(f"# {found.name}")
    said = _of_guards(settings.guards, found) if effective else {}
    rows = [
        (".".join(leaf), _written(value), found.sources.get(leaf, "settings"))
        for leaf, value in sorted({**said, **found.leaves}.items())
        if effective or found.sources[leaf] == own
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    for name, value, source in rows:
        typer.echo(f"{name:{widths[0]}}  {value:{widths[1]}}  # {source}")


@policy.command("test")
def run_table(
    table: Annotated[
        Path, typer.Argument(help='JSON lines: {"text", "direction", "action", "released", "risks", "guards"}.')
    ],
    policy_: Annotated[str, typer.Option("--policy", help=NameOrFile)] = DEFAULT,
    config: ConfigPath = None,
) -> None:
    """Run a table of cases; exit code 0: all as expected, 1: some not, 2: error. / 用例表测试策略。"""
    settings = _settings(config)
    guards = _names(settings.guards)
    patient = settings.compliance.model_copy(update={"deadline_seconds": _DEADLINE_S})
    try:
        cases = read_cases(table, known_to_policies().risks, guards)
        first, layers = _with_default(patient, policy_)
        rules = build_rules(first, guards).rules(layers)
        guarded = {one.name: guard_rules(one, rules.policy) for one in settings.guards}
        failed = list(failures(rules.pipeline, cases, guarded))
    except ComplianceError as error:
        _fail(str(error))
    for failure in failed:
        _print_failure(failure)
    typer.echo(_summary(len(cases), len(failed), rules.policy, rules.pipeline.version))
    raise typer.Exit(FAILED if failed else PASSED)


def _names(guards: Iterable[GuardSettings]) -> frozenset[str]:
    return frozenset(one.name for one in guards)


def _of_guards(guards: Iterable[GuardSettings], policy: Policy) -> dict[Leaf, Any]:
    """Every value that holds for the configured guard models under a policy."""
    found: dict[Leaf, Any] = {}
    for one in guards:
        rules = guard_rules(one, policy)
        found["guards", one.name, "enabled"] = rules.enabled
        found["guards", one.name, "mode"] = rules.mode
        found["guards", one.name, "on_failure"] = rules.on_failure
        for (direction, severity), action in rules.actions.items():
            found["guards", one.name, direction, severity] = action
    return found


def _with_default(settings: ComplianceSettings, name: str) -> tuple[ComplianceSettings, tuple[str, ...]]:
    """A file takes the place of the default policy; a name is laid over it."""
    if name.endswith(SUFFIX) or "/" in name:
        return settings.model_copy(update={"policy": Path(name)}), ()
    return settings, () if name == DEFAULT else (name,)


def _print_failure(failure: Failure) -> None:
    case, verdict = failure.case, failure.verdict
    typer.echo(f"{case.where}: {case.note or repr(case.text[:40])} ({case.direction})")
    for difference in failure.differences:
        typer.echo(f"    {difference}")
    for one in verdict.findings:
        looked_through = f", through {one.folding}" if one.folding else ""
        typer.echo(
            f"    found: {one.start}-{one.end} {one.type}, {one.risk} ({one.severity}) -> {one.action}: {one.why} "
            f"[{one.scanner} {one.rule}{looked_through}]"
        )


def _summary(count: int, failed: int, used: Policy, version: str) -> str:
    dry = " (dry run: released is the text as it is)" if used.dry_run else ""
    return f"{count} cases, {failed} failed / {count} 个用例，{failed} 个不符; policy {used.name}{dry}, rules {version}"


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(value) if isinstance(value, list) else "null" if value is None else str(value)


def _settings(config: Path | None) -> Settings:
    try:
        return load_settings(config)
    except SettingsError as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    typer.echo(f"opcgate policy: {message}", err=True)
    raise typer.Exit(ERROR)
