"""Download of a file over HTTP, with redirects and ranges; resumed only if the server still has the same file.

Partial content is kept in ``.<name>.<random>.part`` beside the target, with the server's description of the file.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

from stbench.errors import UserError

if TYPE_CHECKING:
    import requests

TRIES = 3
TIMEOUT = 30
CHUNK = 1 << 16
PAUSE = 0.2  # seconds before the second try; doubled for each further one
AS_STORED = {"Accept-Encoding": "identity"}  # lengths and ranges count the bytes of the file itself
LOOPBACK = ("127.0.0.1", "localhost", "::1")
ELSEWHERE = "Fetch the files elsewhere and use --from FOLDER."

OnBytes = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Remote:
    """Description of a file by its server: address after redirects, length, entity tag.

    Attributes:
        url: the requested address.
        place: the address that answered, used for ranges.
        length: bytes; None if unknown.
        etag: a strong entity tag, or None.
    """

    url: str
    place: str
    length: int | None
    etag: str | None

    def is_same_file(self, other: Remote) -> bool:
        """Return whether two answers describe the same bytes."""
        return (self.url, self.length, self.etag) == (other.url, other.length, other.etag) and self.length is not None


def is_safe(url: str) -> bool:
    """Return whether the transfer cannot be tampered with: https, or this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)


def remote_length(url: str) -> int | None:
    """Return the bytes of a file without fetching it; None if the server does not say or cannot be reached.

    A real GET whose body is not read: some servers refuse HEAD.
    """
    import requests

    try:
        with _asked(url) as answer:
            return _remote(url, answer).length
    except (requests.RequestException, ValueError):
        return None


class Transfer:
    """The download of one file from one address.

    Args:
        url: where it is.
        path: target; it does not exist before :meth:`finish`.
        vouched: whether a hash of the file is published, so that plain http is acceptable.
        on_bytes: called with the file's name, its bytes so far, and its total bytes (None if unknown).
    """

    def __init__(self, url: str, path: Path, vouched: bool, on_bytes: OnBytes) -> None:
        self.url = url
        self.path = path
        self.vouched = vouched
        self.on_bytes = on_bytes
        self.part = _own_part(path)
        self._remote: Remote | None = None  # known once this process has an answer

    def run(self) -> Path:
        """Fetch what is missing, with several tries, and return the file of the bytes.

        Raises:
            UserError: the server refuses, cannot be reached, or sends another length than it said.
        """
        import requests
        from urllib3.exceptions import HTTPError as BrokenOff

        for attempt in range(TRIES):
            if attempt:
                time.sleep(PAUSE * 2 ** (attempt - 1))
            try:
                self._rest()
                return self.part
            except requests.HTTPError as error:
                if _is_passing(error) and attempt + 1 < TRIES:
                    continue
                raise UserError(
                    f"Could not download {self.url}: {error}. Fetch it elsewhere and use --from FOLDER."
                ) from error
            except (requests.RequestException, BrokenOff) as error:
                if attempt + 1 == TRIES:
                    raise UserError(
                        f"Cannot reach {urlsplit(self.url).netloc} (offline?): {type(error).__name__}, {TRIES} tries. "
                        f"What arrived is kept. {ELSEWHERE}"
                    ) from error
        raise AssertionError("the last try returns or raises")

    def finish(self) -> None:
        """Move the file into place."""
        with self.part.open("rb") as handle:
            os.fsync(handle.fileno())
        self.part.replace(self.path)
        _note(self.part).unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove the downloaded bytes, which are not the expected file."""
        self.part.unlink(missing_ok=True)
        _note(self.part).unlink(missing_ok=True)

    def _rest(self) -> None:
        if self._remote is None:
            with _asked(
                self.url
            ) as answer:  # without a range, which the host behind a redirect must not see unresolved
                self._check_hops(answer)
                self._remote = _remote(self.url, answer)
                if not self._can_go_on():
                    self._take(answer, 0)
                    return
        have = self.part.stat().st_size
        if have == self._remote.length:
            return
        self._go_on(self._remote, have)

    def _go_on(self, remote: Remote, have: int) -> None:
        import requests

        headers = {"Range": f"bytes={have}-"} if have else {}
        if have and remote.etag is not None:
            headers["If-Range"] = remote.etag
        with _asked(remote.place, headers) as answer:
            self._check_hops(answer)
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                self.discard()
                raise requests.ConnectionError("the file is shorter than what arrived of it")
            first = _first_byte(answer, have, remote.length)
            if first == 0:  # it changed, or the server knows no ranges: from the start
                self._remote = _remote(self.url, answer)
            self._take(answer, first)

    def _take(self, answer: requests.Response, first: int) -> None:
        import requests

        assert self._remote is not None
        if not first:
            text = json.dumps(asdict(self._remote))
            _new_file(_note(self.part)).write_text(text, encoding="utf-8")
        total, done = self._remote.length, first
        with _opened(self.part, "ab" if first else "wb") as file:
            for chunk in answer.raw.stream(CHUNK, decode_content=False):
                file.write(chunk)
                done += len(chunk)
                self.on_bytes(self.path.name, done, total)
        if total is not None and done != total:
            raise requests.ConnectionError(f"{done} of {total} bytes arrived")

    def _can_go_on(self) -> bool:
        """Return whether partial content of an earlier command belongs to the server's current file."""
        assert self._remote is not None
        try:
            known = Remote(**json.loads(_note(self.part).read_text(encoding="utf-8")))
            have = self.part.stat().st_size
        except (OSError, ValueError, TypeError):
            return False
        return self._remote.is_same_file(known) and 0 < have <= (known.length or 0)

    def _check_hops(self, answer: requests.Response) -> None:
        """Check that no redirect uses plain http for a file without a published hash."""
        hops = [step.url for step in (*answer.history, answer)]
        unsafe = next((hop for hop in hops if not is_safe(hop)), None)
        if unsafe is not None and not self.vouched:
            raise refuse_plain(unsafe)


def refuse_plain(url: str) -> UserError:
    """Say why a plain http address is not used."""
    return UserError(
        f"{url} is plain http and no hash of the file is published, so anybody on the way could change it. Accept that "
        f"with --allow-http, or fetch the file elsewhere and use --from FOLDER."
    )


@contextmanager
def _asked(url: str, headers: dict[str, str] | None = None) -> Iterator[requests.Response]:
    """The answer to a GET, redirects followed, its body not read yet.

    Raises:
        requests.RequestException: no connection, or an answer of failure (but 416, which the caller deals with).
    """
    import requests

    with requests.get(url, headers={**AS_STORED, **(headers or {})}, stream=True, timeout=TIMEOUT) as answer:
        if answer.status_code != requests.codes.requested_range_not_satisfiable:
            answer.raise_for_status()
        yield answer


def _remote(url: str, answer: requests.Response) -> Remote:
    length, etag = answer.headers.get("Content-Length"), answer.headers.get("ETag")
    strong = etag if etag is not None and not etag.startswith("W/") else None
    return Remote(url, answer.url, int(length) if length is not None and length.isdigit() else None, strong)


def _first_byte(answer: requests.Response, asked: int, length: int | None) -> int:
    """Return the position in the file of an answer's first byte: the requested one, or 0 for the whole file.

    Raises:
        requests.ConnectionError: another part of the file, or a part of another file.
    """
    import requests

    if answer.status_code != requests.codes.partial_content:
        return 0
    said = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
    body = answer.headers.get("Content-Length", "")
    if said is not None:
        fits = int(said[1]) == asked and (said[2] == "*" or length is None or int(said[2]) == length)
    else:  # a server that does not say which part it sends
        fits = body.isdigit() and length is not None and asked + int(body) == length
    if not fits:
        raise requests.ConnectionError("the server sends another part of the file than asked for")
    return asked


def _is_passing(error: requests.HTTPError) -> bool:
    """Return whether an error may pass (server busy, or an expired signed address)."""
    status = error.response.status_code if error.response is not None else 0
    return status in (408, 425, 429) or status >= 500


def _own_part(path: Path) -> Path:
    """Return partial content of an earlier command, or a new unpredictable name; links are never followed."""
    for found in sorted(path.parent.glob(f".{_escaped(path.name)}.*.part")):
        state = found.lstat()
        if found.is_file() and not found.is_symlink() and state.st_uid == os.geteuid() and state.st_nlink == 1:
            return found
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")


def _escaped(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _new_file(path: Path) -> Path:
    """Create a path as a new plain file."""
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
    return path


@contextmanager
def _opened(path: Path, mode: str) -> Iterator[IO[bytes]]:
    """Open a part for writing, never through a link."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | (os.O_APPEND if mode == "ab" else os.O_TRUNC)
    with os.fdopen(os.open(path, flags, 0o644), mode) as file:
        yield file


def first_that_works(urls: Sequence[str], attempt: Callable[[str], None]) -> None:
    """Try addresses in order until one succeeds.

    Raises:
        UserError: all fail; the message has a line for each.
    """
    failures: list[UserError] = []
    for url in urls:
        try:
            attempt(url)
            return
        except UserError as error:
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    lines = "\n".join(f"* {error}" for error in failures)
    raise UserError(f"None of {len(urls)} addresses gave the file:\n{lines}") from failures[-1]
