"""Settings of ledger."""

from configs.strict import Strict


class LedgerSettings(Strict):
    """Compute vouchers: prices and leases."""
