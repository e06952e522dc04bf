"""Typed records shared by all layers."""

from stbench.schema.base import Record
from stbench.schema.budget import Budget
from stbench.schema.optimizer import OPTIMIZERS, Optimizer, Parameters
from stbench.schema.plugin import PluginRecord
from stbench.schema.protocol import (
    Benchmark,
    DatasetSpec,
    Evaluation,
    MethodSettings,
    Protocol,
    SharedEncoder,
    Training,
)
from stbench.schema.run import Failure, RunResult, RunSpec, Score
from stbench.schema.scaling import Scaling
from stbench.schema.schedule import SCHEDULES, Position, Rate, Schedule
from stbench.schema.shape import ClipShape

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "Benchmark",
    "Budget",
    "ClipShape",
    "DatasetSpec",
    "Evaluation",
    "Failure",
    "MethodSettings",
    "Optimizer",
    "Parameters",
    "PluginRecord",
    "Position",
    "Protocol",
    "Rate",
    "Record",
    "RunResult",
    "RunSpec",
    "Scaling",
    "Schedule",
    "Score",
    "SharedEncoder",
    "Training",
]
