"""Which quantization schemes run on which hardware: the matrix, and the kind of hardware that this machine is."""

from configs.compatibility import Support as Support
from configs.compatibility import carries_adapters as carries_adapters
from configs.compatibility import matrix as matrix
from configs.compatibility import node_refusals as node_refusals
from configs.compatibility import refusal as refusal
from configs.compatibility import supported as supported
from configs.sections.catalog import Hardware
from models.machine import read_machine


def this_hardware() -> Hardware:
    """The kind of hardware that an engine started on this machine would run on."""
    return read_machine().hardware
