"""Memory-mapped arrays that each process opens by itself."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stbench.data.formats.guard import check_npy, readable


class MappedArray:
    """A memory-mapped ``.npy`` file; pickling carries its path, not its content.

    Raises:
        UserError: the file cannot be read or is cut short.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.array  # noqa: B018 - a damaged file is refused here, not in a worker

    @cached_property
    def array(self) -> npt.NDArray[Any]:
        """The array, read-only."""
        check_npy(self.path)
        with readable(self.path, "npy"):
            return np.load(self.path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]

    def __getstate__(self) -> dict[str, Path]:
        return {"path": self.path}
