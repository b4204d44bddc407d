"""Settings of files."""

from configs.strict import Strict


class FileSettings(Strict):
    """Files and batches."""
