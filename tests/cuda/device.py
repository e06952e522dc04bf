"""Device of these tests: CUDA, or a CPU in a dry run."""

from __future__ import annotations

import os
from typing import Literal, cast

DEVICE = cast("Literal['cpu', 'cuda']", os.environ.get("STBENCH_CUDA_TESTS_ON", "cuda"))
