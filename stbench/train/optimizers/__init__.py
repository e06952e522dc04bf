"""The shipped optimisers, one file each; they import torch only in ``build``."""

from stbench.train.optimizers.adam import Adam
from stbench.train.optimizers.adamw import AdamW

__all__ = ["Adam", "AdamW"]
