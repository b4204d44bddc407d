"""What the compatibility matrix says of a scheme, and of the nodes of a deployment."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import get_args

from configs.loader import CONFIG_DIR, load_compatibility
from configs.sections.catalog import CatalogSettings, Hardware, PublicModel, Scheme
from configs.sections.compatibility import CompatibilityRow, Outcome
from configs.sections.routing import NodeSettings

NO_ROW = "configs/compatibility.yaml has no row for it"


@dataclass(frozen=True, slots=True)
class Support:
    """Whether a pair runs: `no` refuses, `not run` only warns. `why` is for people, in both languages."""

    verdict: Outcome
    why_en: str = ""
    why_zh: str = ""

    @property
    def why(self) -> str:
        """Both languages in one line."""
        return f"{self.why_en} {self.why_zh}".strip()


@cache
def matrix() -> dict[tuple[str, Hardware], CompatibilityRow]:
    """The shipped matrix by scheme (`none`: unquantized) and hardware. Raises SettingsError."""
    rows = load_compatibility(CONFIG_DIR / "compatibility.yaml").rows
    return {(one.scheme, one.hardware): one for one in rows}


def supported(scheme: Scheme | None, hardware: Hardware, adapters: bool = False) -> Support:
    """Whether vLLM serves a scheme (None: unquantized) on this hardware; with `adapters`, LoRA adapters on it too."""
    row = matrix().get((scheme or "none", hardware))
    if row is None:
        return Support("not run", NO_ROW, "兼容矩阵中没有这一行。")
    verdict = row.serves if row.serves == "no" or not adapters else row.adapters
    return Support(verdict, row.why_en, row.why_zh) if verdict != "yes" else Support("yes")


def carries_adapters(scheme: Scheme | None, hardware: Hardware | None = None) -> Support:
    """Whether adapters may be offered on a scheme; without `hardware`, unless the matrix says no on every kind."""
    found = [supported(scheme, one, adapters=True) for one in ([hardware] if hardware else get_args(Hardware))]
    return next((one for one in found if one.verdict != "no"), found[0])


def refusal(model: PublicModel, hardware: Hardware) -> Support | None:
    """Why this hardware can't serve what a public id stands for; None when it can, or when nobody has tried."""
    support = supported(model.scheme, hardware, adapters=model.adapter is not None)
    return support if support.verdict == "no" else None


def node_refusals(nodes: Iterable[NodeSettings], catalog: CatalogSettings) -> list[str]:
    """Why nodes that name their hardware can't serve models that they are said to serve; empty when all can."""
    known = catalog.public_ids()
    return [
        f"node '{node.name}' ({node.hardware}) can't serve '{one}': {found.why}"
        for node in nodes
        for one in node.models
        if node.hardware and one in known and (found := refusal(known[one], node.hardware))
    ]
