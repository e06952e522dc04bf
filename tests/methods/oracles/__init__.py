"""Slow, literal versions of the methods, written from specs' formulas alone; weights come in the published layout.

Nothing here is shared with the code under test: states are explicit zeros, gates are cut by number, loops are loops.
"""

from .mau import mau
from .mim import mim
from .phydnet import moment_loss, phydnet
from .recurrent import convlstm, predrnn, predrnnpp, predrnnv2
from .stacked import simvp_gsta, simvp_inception, tau

__all__ = [
    "convlstm",
    "mau",
    "mim",
    "moment_loss",
    "phydnet",
    "predrnn",
    "predrnnpp",
    "predrnnv2",
    "simvp_gsta",
    "simvp_inception",
    "tau",
]
