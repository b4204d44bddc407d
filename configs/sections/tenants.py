"""Settings of tenants."""

from configs.strict import Strict


class TenantSettings(Strict):
    """Organisations and their keys."""
