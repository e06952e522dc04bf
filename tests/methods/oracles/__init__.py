"""Slow, literal versions of the methods, written from specs' formulas alone; weights come in the published layout.

Nothing here is shared with the code under test: states are explicit zeros, gates are cut by number, loops are loops.
"""

from tests.methods.oracles.mau import mau
from tests.methods.oracles.metaformers import simvp_metaformer
from tests.methods.oracles.mim import mim
from tests.methods.oracles.phydnet import moment_loss, phydnet
from tests.methods.oracles.recurrent import convlstm, predrnn, predrnnpp, predrnnv2
from tests.methods.oracles.stacked import simvp_gsta, simvp_inception, tau
from tests.methods.oracles.swinlstm import swinlstm

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
    "simvp_metaformer",
    "swinlstm",
    "tau",
]
