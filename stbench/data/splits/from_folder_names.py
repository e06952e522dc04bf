"""Splits given by the names of a user's folders: train/, val/, test/ and similar."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from stbench.data.splits.rules import ByName
from stbench.data.splits.windows import SPLITS
from stbench.errors import UserError

SYNONYMS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}
NEAR = 0.7  # difflib's ratio from which a name is taken for a misspelt one
VAL_OF_TRAIN = 0.125  # 0.7 to 0.1, as where nothing names a split


def by_folders(names: Sequence[str]) -> ByName | None:
    """Return the split rule for folders (or files) named after splits, in any letter case; None if there are none.

    Without a validation folder, validation is cut from training.

    Args:
        names: of all recordings, ``/`` between folders.

    Raises:
        UserError: training or test is missing, a name is nearly that of a split, or the folders are nested deeper.
    """
    tops = sorted({re.split("[/#]", name.removeprefix("./"), maxsplit=1)[0] for name in names})
    found = {split: [top for top in tops if top.lower() in SYNONYMS[split]] for split in SPLITS}
    named = [top for split in SPLITS for top in found[split]]
    if len(tops) < 2 or not named:
        _check_depth(names)
        return None
    others = [top for top in tops if top not in named]
    near = [top for top in others if _is_near(top)]
    if near or not (found["train"] and found["test"]):
        missing = " and ".join(split for split in ("train", "test") if not found[split])
        reason = f"no {missing} beside them" if missing else "nearly a split's name, but none"
        listing = ", ".join(near or others) or "nothing else"
        raise UserError(
            f"Folders named after splits were found ({', '.join(named)}), and {listing}: {reason}. Clips of a test set "
            "must not be trained on, so nothing is guessed: name the folders train, val (may be left out) and test, "
            "or rename them all to have everything cut by --split 0.7,0.1,0.2."
        )
    return ByName(train=_pattern("train"), val=_pattern("val") if found["val"] else VAL_OF_TRAIN, test=_pattern("test"))


def _pattern(split: str) -> str:
    return rf"(?i)^(\./)?({'|'.join(SYNONYMS[split])})(/|#|$)"


def _is_near(top: str) -> bool:
    """Return whether a name resembles that of a split: tset, tests2, train_set."""
    words = [word for names in SYNONYMS.values() for word in names]
    letters = re.sub("[^a-z]", "", top.lower())
    begins = re.split("[^a-z]", top.lower())[0] in words
    return begins or bool(difflib.get_close_matches(letters, words, n=1, cutoff=NEAR))


def _check_depth(names: Sequence[str]) -> None:
    """Check that no subfolder contains the split folders, since clips of all splits would be pooled."""
    deeper = {part.lower(): name for name in names for part in name.removeprefix("./").split("#")[0].split("/")[1:]}
    train, test = (next((deeper[w] for w in SYNONYMS[split] if w in deeper), None) for split in ("train", "test"))
    if train and test:
        raise UserError(
            f"Folders named after splits lie deeper ({train!r}, {test!r}). Name the folder that holds them instead, "
            "with train, val and test directly in it."
        )
