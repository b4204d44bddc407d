"""The only place where guards are put together."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import configs
from compliance.guards.guard import Guard
from compliance.guards.llama_guard import LLAMA_GUARD
from compliance.guards.openai_moderation import OPENAI_MODERATION
from compliance.guards.qwen3guard import QWEN3GUARD
from compliance.guards.risks import load_risks
from compliance.taxonomy import load_taxonomy
from configs.schema import GuardSettings

PROTOCOLS = {one.name: one for one in (QWEN3GUARD, LLAMA_GUARD, OPENAI_MODERATION)}
_CONFIGS = Path(configs.__file__).parent
_RISKS = _CONFIGS / "guards.yaml"


def build_guards(settings: Iterable[GuardSettings]) -> tuple[Guard, ...]:
    """Join each guard's settings with its protocol and the map of risks. Raises RulesError."""
    risks = load_risks(_RISKS, PROTOCOLS, load_taxonomy(_CONFIGS / "taxonomy.yaml"))
    return tuple(Guard(one, PROTOCOLS[one.protocol], risks[one.protocol]) for one in settings)


def guards_version(guards: Iterable[Guard]) -> str:
    """A digest of everything here that decides what guards say: their settings and the map of risks."""
    digest = hashlib.sha256(_RISKS.read_bytes())
    for guard in guards:
        digest.update(guard.settings.model_dump_json().encode())
    return digest.hexdigest()[:8]
