"""Settings of audit."""

from configs.strict import Strict


class AuditSettings(Strict):
    """The audit log: signing, retention, kept text."""
