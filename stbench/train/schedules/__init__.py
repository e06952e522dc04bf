"""The shipped learning-rate schedules, one file each, free of torch."""

from stbench.train.schedules.constant import Constant
from stbench.train.schedules.cosine import Cosine
from stbench.train.schedules.cosine_step import CosineStep
from stbench.train.schedules.onecycle import OneCycle

__all__ = ["Constant", "Cosine", "CosineStep", "OneCycle"]
