"""WCAG 2.2: what all pages share: the static files that they name, the templates, how texts of others are put in."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from broker.web import texts
from broker.web.display import display_host, display_name, display_uri, unquoted

DETAIL_LIMIT: Final = 600


def _static_version() -> str:
    digest = hashlib.sha256()
    for file in sorted(
        (f for f in files("broker.web").joinpath("static").iterdir() if f.is_file()), key=lambda f: f.name
    ):
        content = file.read_bytes()
        digest.update(f"{file.name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:12]


STATIC_VERSION: Final = _static_version()
STATIC_BASE: Final = f"/static/{STATIC_VERSION}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """`static_base`: path of the static files, without trailing slash. `lang`: wished language tag."""

    static_base: str = STATIC_BASE
    lang: str = "en"


def duration(seconds: int, lang: str = "en") -> str:
    """A span in words, in the largest unit that divides it: 300 is "5 minutes", 5400 "90 minutes"."""
    sizes = {"day": 86400, "hour": 3600, "minute": 60, "second": 1}
    unit, size = next((u, s) for u, s in sizes.items() if s == 1 or (seconds >= s and seconds % s == 0))
    count = seconds // size
    return texts.CATALOGUES[texts.choose(lang)][f"duration.{unit}.{'one' if count == 1 else 'other'}"].format(
        n=count
    )


def _bdi(text: str) -> Markup:
    return Markup("<bdi>{}</bdi>").format(display_name(text))


def _quoted(text: str) -> Markup:
    return Markup("<bdi>“{}”</bdi>").format(unquoted(display_name(text)))


def _day(moment: float) -> Markup:
    """A day, for people and for machines."""
    at = datetime.fromtimestamp(moment, UTC)
    return Markup('<time datetime="{}">{}</time>').format(f"{at:%Y-%m-%d}", f"{at:%-d %B %Y}")


def _when(moment: float) -> Markup:
    """A minute, for people and for machines."""
    at = datetime.fromtimestamp(moment, UTC)
    shown = f"{at:%-d %B %Y, %H:%M} UTC"
    return Markup('<time datetime="{}">{}</time>').format(f"{at:%Y-%m-%dT%H:%MZ}", shown)


_environment = Environment(
    loader=PackageLoader("broker.web"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters.update(
    name=_bdi,
    quoted=_quoted,
    host=display_host,
    uri=display_uri,
    line=lambda text: display_name(text, DETAIL_LIMIT),
    day=_day,
    when=_when,
)


def render(template: str, view: Page, **values: object) -> str:
    lang = texts.choose(view.lang)
    return _environment.get_template(template).render(
        view=view, lang=lang, t=texts.translator(lang), **values
    )
