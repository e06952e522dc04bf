"""Eager references: whole models as plain PyTorch modules, the yardstick for speed and memory.

They are what a researcher would write from the papers: ``nn.Conv2d``, channels first, the framework's defaults, no
recomputation, no allocator settings. Parameters carry the published names, so published weights load as they are.
Nothing is shared with the code under test; ``tests/methods/test_eager.py`` checks them against the reference tensors
and against stbench's methods with equal weights.
"""

from .base import EagerModel
from .build import EAGER, build, published_weights, random_mask, reference_of
from .step import TrainingStep

__all__ = ["EAGER", "EagerModel", "TrainingStep", "build", "published_weights", "random_mask", "reference_of"]
