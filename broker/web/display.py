"""UTS 39, RFC 3492: names, hosts and addresses that others chose, shown so that they cannot pose as ours."""

import json
import unicodedata
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

NAME_LIMIT: Final = 80
# Letters and symbols without ink: a name made of them would look empty or equal to another.
_BLANK: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_SELECTORS: Final = frozenset(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
_STACK: Final = 3  # combining marks that one character may carry; more would paint over the lines around it
_QUOTES: Final = dict.fromkeys(map(ord, '"“”„‟«»＂〝〞'), "’")


def _visible(text: str) -> Iterator[str]:
    stacked = 0
    for char in text:
        category = unicodedata.category(char)
        stacked = stacked + 1 if category[0] == "M" else 0
        if stacked > _STACK:
            continue
        if char.isspace():
            yield " "
        else:
            yield "\ufffd" if category[0] == "C" or char in _BLANK else char


def display_name(text: str, limit: int = NAME_LIMIT) -> str:
    """One line of visible characters: at most `limit` of them, then "…" if some were cut.

    Controls, bidi overrides and invisible characters become U+FFFD, white space one space.
    """
    shown = " ".join("".join(_visible(text[: limit * 8])).split())
    return shown if len(shown) <= limit and len(text) <= limit * 8 else shown[:limit].rstrip() + "…"


def written(json_text: str) -> str:
    """JSON with every character written out (RFC 8259 section 7) that would not show itself where it stands.

    Controls, bidi overrides, invisible characters, spaces other than the plain one, marks that pile up: nothing is left
    out, cut or folded, so texts that differ look different.
    """
    shown, stacked = [], 0
    for char in json_text:
        category = unicodedata.category(char)
        stacked = stacked + 1 if category[0] == "M" else 0
        hidden = category[0] in "CZ" or char in _BLANK or char in _SELECTORS or stacked > _STACK
        shown.append(json.dumps(char)[1:-1] if hidden and char != " " else char)
    return "".join(shown)


def display_host(host: str) -> str:
    """A host (with port) or URI scheme in ASCII: labels in punycode (RFC 3492), all else percent-encoded."""
    labels = unicodedata.normalize("NFKC", host).lower().replace("\u3002", ".").split(".")
    ascii_labels = (x if x.isascii() else "xn--" + x.encode("punycode").decode("ascii") for x in labels)
    return quote(".".join(ascii_labels), safe="[]:+*")


def display_uri(uri: str) -> str:
    """A URI in ASCII, its host as `display_host` shows it."""
    scheme, mark, rest = uri.partition("://")
    authority, slash, path = rest.partition("/")
    safe = "%/:?#[]@!$&'()*+,;="
    if not mark:
        return quote(uri, safe=safe, errors="replace")
    return (
        display_host(scheme)
        + mark
        + display_host(authority)
        + quote(slash + path, safe=safe, errors="replace")
    )


def unquoted(text: str) -> str:
    """`text` with its double quotes made single, so that it cannot end the quotation around it."""
    return text.translate(_QUOTES)
