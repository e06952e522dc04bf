"""The content of files that may be gzipped."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from stbench.errors import UserError

GZIP_MAGIC = b"\x1f\x8b"


def read_content(path: Path) -> bytes:
    """Return the file's bytes, unpacked if it is gzipped.

    Raises:
        UserError: it cannot be read or unpacked.
    """
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if raw[:2] == GZIP_MAGIC else raw
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be unpacked (cut short or damaged?): {error}. Fetch it again.") from error
