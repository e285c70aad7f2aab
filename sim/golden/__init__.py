"""The golden model: one module per block of `spatten_hw`, bit for bit, and the same control path in float64.

May import: config, host, host.workload, interface, softmax.
"""

from .accelerator import GoldenAccelerator
from .cascade import Cascade, CascadeError
from .float_engine import run_float
from .integer_engine import run_golden
from .layer_result import LayerResult

__all__ = ["Cascade", "CascadeError", "GoldenAccelerator", "LayerResult", "run_float", "run_golden"]
