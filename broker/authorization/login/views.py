"""OWASP ASVS V6: what the pages of signing in show, from what the verbs hand over."""

from dataclasses import dataclass, replace

from broker.authorization.interaction import About
from broker.authorization.login.way import Way
from broker.identity.tenants.model import Door
from broker.identity.users.sign_in import NotSignedIn
from broker.identity.users.steps import Half
from broker.web import pages, sign_in_pages, texts


@dataclass(frozen=True, slots=True)
class Told:
    """What every page of signing in says: `about` is None when a page of this server waits behind, not a client.

    `browser` is the cookie that its forms come back with, `csrf` the token that they carry.
    """

    about: About | None
    door: Door
    way: Way
    door_name: str
    browser: str
    csrf: str
    passkeys: bool
    providers: tuple[tuple[str, str], ...]
    lang: str


def sign_in(told: Told, username: str, *, locked: bool, refused: NotSignedIn | None) -> str:
    about = told.about
    return pages.sign_in(
        pages.SignInView(
            door_name=told.door_name,
            action=told.door.url("/login"),
            csrf=told.csrf,
            fields=told.way.fields(),
            providers=told.providers,
            passkey=_passkey(told) if told.passkeys else None,
            again=told.way.fresh,
            client_name=about.client_name if about else None,
            client_host=about.client_host if about else "",
            client_verified=about.client_verified if about else False,
            username=username,
            locked=locked,
            error=_error(refused, told.lang),
            lang=told.lang,
        )
    )


def verify(told: Told, half: Half, *, refused: NotSignedIn | None) -> str:
    return sign_in_pages.verify(
        sign_in_pages.VerifyView(
            action=told.door.url("/login/verify"),
            csrf=told.csrf,
            fields=told.way.fields(),
            passkey=_passkey(told, missing=True) if half.by_passkey else None,
            user_name=half.user_name,
            user_id=half.user_id,
            by_app=half.by_app,
            by_recovery=half.by_recovery,
            other_account=told.door.url(replace(told.way, again=True).path()),
            error=_error(refused, told.lang),
            lang=told.lang,
        )
    )


def _passkey(told: Told, *, missing: bool = False) -> pages.PasskeyForm:
    action = told.door.url("/login/passkey")
    fields = (*told.way.fields(), *((("step", "verify"),) if missing else ()))
    return pages.PasskeyForm("get", action, f"{action}/options", told.csrf, fields)


def _error(refused: NotSignedIn | None, lang: str) -> str | None:
    if refused is None:
        return None
    key = "limited" if refused.wait else {"password": "wrong"}.get(refused.what, refused.what)
    return texts.say(f"sign_in.error.{key}", lang)
