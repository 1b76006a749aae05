"""WCAG 2.2 success criterion 3.1.1: every text of every page, by key, one catalogue per language.

Catalogues are plain text: they are escaped, then `{placeholders}` are filled with escaped values.
A translation is a mapping with the keys of `ENGLISH`, added to `CATALOGUES` under its language tag.
"""

from collections.abc import Mapping
from typing import Final, Protocol

from markupsafe import Markup, escape

from broker.web.english import (
    account,
    approvals,
    calls,
    connections,
    consent,
    device,
    form_post,
    leaving,
    methods,
    problems,
    shell,
    sign_in,
    sign_out,
)

ENGLISH: Final[Mapping[str, str]] = dict(
    item
    for topic in (
        shell,
        sign_in,
        sign_out,
        consent,
        calls,
        device,
        account,
        approvals,
        connections,
        methods,
        problems,
        form_post,
        leaving,
    )
    for item in topic.TEXTS.items()
)

CATALOGUES: Final[Mapping[str, Mapping[str, str]]] = {"en": ENGLISH}


class Translate(Protocol):
    """`t(key, placeholder=value…)` gives safe HTML; an unknown key is a KeyError."""

    def __call__(self, key: str, **values: object) -> Markup: ...


def choose(lang: str) -> str:
    """The catalogue's tag for a wished language tag (RFC 5646): itself, its primary subtag, else English."""
    wished = lang.lower()
    return next((tag for tag in (wished, wished.partition("-")[0]) if tag in CATALOGUES), "en")


def among(tags: str | None) -> str | None:
    """The first of some language tags, in order of preference, that has a catalogue; None when none has."""
    for tag in (tags or "").lower().split()[:16]:
        if tag in CATALOGUES or tag.partition("-")[0] in CATALOGUES:
            return tag
    return None


def say(key: str, lang: str = "en") -> str:
    """One text without placeholders, for a view's own field (such as `error`)."""
    return CATALOGUES[choose(lang)][key]


def translator(lang: str) -> Translate:
    catalogue = CATALOGUES[choose(lang)]

    def translate(key: str, **values: object) -> Markup:
        return escape(catalogue[key]).format(**values)

    return translate
