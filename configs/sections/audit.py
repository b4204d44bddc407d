"""Settings of the audit log."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from configs.strict import Strict

Kept = Literal["none", "flagged", "all"]


class KeepText(Strict):
    """Which texts are kept: of no request, of those with a finding, or of all."""

    prompt: Kept = "none"
    answer: Kept = "none"


class AuditSettings(Strict):
    """The audit log (docs/audit.md): signing, retention, kept text. Files are relative to the working directory.

    Heads are signed after `sign_records` new records or `sign_seconds`, whichever comes first. What is kept of a
    request's text follows its tenant's entry, else its policy's, else `keep_text`. Keys of kept texts come from the
    environment variable `text_keys_env` where that is named, else from `text_key_file`.

    While the database is away, the end of an answer waits for its record for `last_byte_seconds`; records wait in
    memory until it is back, at most `held_records` of them and those of the requests under way.
    """

    key_file: Path = Path(".state/audit-key.pem")
    sign_records: int = Field(1000, ge=1)
    sign_seconds: float = Field(10.0, gt=0)
    keep_text: KeepText = KeepText()
    keep_text_of_policies: dict[str, KeepText] = Field(default_factory=dict)
    keep_text_of_tenants: dict[str, KeepText] = Field(default_factory=dict)
    text_key_file: Path = Path(".state/audit-text-keys.txt")
    text_keys_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    retention_days: int = Field(180, ge=180)
    retention_interval_seconds: float = Field(3600.0, gt=0)
    retention_batch: int = Field(500, ge=1, le=5000)
    last_byte_seconds: float = Field(10.0, gt=0)
    held_records: int = Field(10_000, ge=1)
