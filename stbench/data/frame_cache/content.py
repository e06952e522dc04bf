"""Hash of the content of source files, cached until the files change.

Size and modification time do not identify content, because copying tools set both. The system updates the inode's
change time at every write, so hashes are cached by it, and files are hashed again after it changes.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from stbench.data.frame_cache.cache import cache_dir
from stbench.files import file_hash
from stbench.schema.folder import write_text

FOLDER = ".hashes"
SETTLED = 2.0  # seconds: a file that changed later may change again within one tick of the file system's clock
SHA256_LENGTH = 64


def stamp(paths: Sequence[Path]) -> str:
    """Return a text that changes if one of the files is written, replaced or renamed.

    Raises:
        OSError: a file is missing.
    """
    stats = [(path, path.stat()) for path in paths]
    return "\n".join(
        f"{path.resolve()} {s.st_dev} {s.st_ino} {s.st_size} {s.st_mtime_ns} {s.st_ctime_ns}" for path, s in stats
    )


def content_hash(paths: Sequence[Path]) -> str:
    """Return the sha256 of the concatenated contents of files, from the cache if no file changed.

    Raises:
        OSError: a file cannot be read.
    """
    seen = stamp(paths)
    remembered = cache_dir() / FOLDER / hashlib.sha256(seen.encode()).hexdigest()
    with suppress(OSError, UnicodeDecodeError):
        text = remembered.read_text(encoding="ascii")
        if len(text) == SHA256_LENGTH and set(text) <= set("0123456789abcdef"):
            return text
    newest = max(max(path.stat().st_mtime, path.stat().st_ctime) for path in paths)
    settled = time.time() - newest > SETTLED
    found = file_hash(*paths)
    if settled and stamp(paths) == seen:
        with suppress(OSError):  # the cache is not writable: the hash is computed again next time
            remembered.parent.mkdir(parents=True, exist_ok=True)
            write_text(remembered, found)
    return found
