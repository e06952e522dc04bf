"""Typed records that every layer shares."""

from stbench.schema.base import Record
from stbench.schema.budget import Budget
from stbench.schema.protocol import (
    Adam,
    Benchmark,
    Constant,
    Cosine,
    DatasetSpec,
    Evaluation,
    MethodSettings,
    OneCycle,
    Protocol,
    Schedule,
    SharedEncoder,
    Training,
)
from stbench.schema.run import Failure, RunResult, RunSpec, Score
from stbench.schema.scaling import Scaling
from stbench.schema.shape import ClipShape

__all__ = [
    "Adam",
    "Benchmark",
    "Budget",
    "ClipShape",
    "Constant",
    "Cosine",
    "DatasetSpec",
    "Evaluation",
    "Failure",
    "MethodSettings",
    "OneCycle",
    "Protocol",
    "Record",
    "RunResult",
    "RunSpec",
    "Scaling",
    "Schedule",
    "Score",
    "SharedEncoder",
    "Training",
]
