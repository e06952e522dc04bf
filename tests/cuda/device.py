"""Which device these tests run on: CUDA, or a CPU where a dry run asks for it."""

from __future__ import annotations

import os
from typing import Literal, cast

DEVICE = cast("Literal['cpu', 'cuda']", os.environ.get("STBENCH_CUDA_TESTS_ON", "cuda"))
