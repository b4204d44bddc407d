"""Settings of reports."""

from configs.strict import Strict


class ReportSettings(Strict):
    """Complaints of the public."""
