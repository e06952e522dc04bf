"""The content of files that may be gzipped."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from stbench.errors import UserError

MOST_BYTES = 1 << 30  # the largest file of the idx family takes 47 MB
GZIP_MAGIC = b"\x1f\x8b"


def read_content(path: Path) -> bytes:
    """Return the file's bytes, unpacked if it is gzipped.

    Raises:
        UserError: it cannot be read or unpacked, or unpacks to more than 1 GiB.
    """
    try:
        raw = path.read_bytes()
        if raw[:2] != GZIP_MAGIC:
            return raw
        with gzip.open(path) as stream:
            content = stream.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be unpacked (cut short or damaged?): {error}. Fetch it again.") from error
    if len(content) > MOST_BYTES:
        raise UserError(f"{path} unpacks to more than {MOST_BYTES} bytes, which is refused as a decompression bomb.")
    return content
