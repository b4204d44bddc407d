"""What can go wrong while quantizing; every message says what to do, in English and Chinese.

QuantizeError
+-- UnknownScheme       no such scheme
+-- BaseRefused         the base model is missing, damaged, already quantized or not the one that the catalog pins
+-- CalibrationError    the calibration file can't be used
+-- OutputTaken         something else is at the output path, or another run is working there
+-- EnvironmentMissing  `.venv-quantize` is not there or does not work
+-- DoesNotFit          memory or disk would not suffice, by arithmetic before the work
+-- CannotWrite         the disk filled up halfway, or refuses
+-- WorkerFailed        the worker ended, hung, or could not quantize
"""

from configs.bilingual import BilingualError


class QuantizeError(BilingualError):
    """Root of the tree."""

    between = "\n"


class UnknownScheme(QuantizeError):
    """No such scheme."""


class BaseRefused(QuantizeError):
    """The base model is missing, damaged, already quantized or not the one that the catalog pins."""


class CalibrationError(QuantizeError):
    """The calibration file can't be used."""


class OutputTaken(QuantizeError):
    """Something else is at the output path, or another run is working there."""


class EnvironmentMissing(QuantizeError):
    """`.venv-quantize` is not there or does not work."""


class DoesNotFit(QuantizeError):
    """Memory or disk would not suffice, by arithmetic before the work."""


class CannotWrite(QuantizeError):
    """The disk filled up halfway, or refuses."""


class WorkerFailed(QuantizeError):
    """The worker ended, hung, or could not quantize."""
