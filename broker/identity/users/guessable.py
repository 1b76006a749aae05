"""NIST SP 800-63B section 3.1.1.2: what everybody tries first, or is made of what stands around it; pure.

`common.xz` holds some twenty thousand passwords of at least six characters that leaked most often, one a line, in
lower case: a list that Django publishes (BSD licence, Copyright Django Software Foundation), made by Royce Williams.
"""

import lzma
import unicodedata
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

_LEET = str.maketrans("013457@$!", "oleastasi")
_RUNS = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "qwertyuiop",
    "qwertzuiop",
    "azertyuiop",
    "asdfghjkl",
    "zxcvbnm",
)
_LEAST = 5
"""What has to be left of a password when the words around it are taken out."""


@cache
def _listed() -> frozenset[str]:
    text = lzma.decompress(files("broker.identity.users").joinpath("common.xz").read_bytes()).decode("utf-8")
    return frozenset(text.split("\n"))


def common(password: str) -> bool:
    """Whether it is on the list, with digits and signs behind it or in place of letters too, or is a pattern."""
    folded = unicodedata.normalize("NFKC", password).casefold()
    bare = folded.strip("0123456789 !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
    variants = {folded, bare, folded.translate(_LEET), bare.translate(_LEET)}
    return any(variant in _listed() for variant in variants) or _pattern(folded)


def around(password: str, words: Iterable[str]) -> bool:
    """Whether nearly all of it is one of `words`: the person's name, their address, this server."""
    folded = unicodedata.normalize("NFKC", password).casefold()
    parts = {part for word in words for part in _parts(word) if len(part) > 2}
    return any(part in folded and len(folded.replace(part, "")) < _LEAST for part in parts)


def _parts(word: str) -> set[str]:
    folded = unicodedata.normalize("NFKC", word).casefold()
    pieces = "".join(letter if letter.isalnum() else " " for letter in folded).split()
    return {folded, "".join(pieces), *pieces}


def _pattern(folded: str) -> bool:
    """A few letters over and over, or a run along the alphabet or the keyboard."""
    if any(folded == (folded[:n] * len(folded))[: len(folded)] for n in range(1, 5)):
        return True
    return any(folded in (run * 8)[:128] or folded in (run[::-1] * 8)[:128] for run in _RUNS)
