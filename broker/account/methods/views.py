"""OWASP ASVS V6.4: what the pages about ways of signing in show, from the nouns that the verbs hand over."""

from collections.abc import Mapping, Sequence

import segno
from markupsafe import Markup

from broker.account.views import Around, Sending
from broker.identity.federation.model import Link, Provider
from broker.identity.users.credentials.model import Factors, Notice, Passkey
from broker.identity.users.credentials.totp import Enrolment
from broker.protocol.errors import Reason
from broker.web import methods_pages, texts
from broker.web.methods_pages import LinkLine, NoticeLine, PasskeyLine, ProviderLine

_REASONS = {
    Reason.RATE_LIMITED: "rate_limited",
    Reason.OTP_WRONG: "otp_wrong",
    Reason.STEP_UNKNOWN: "step_unknown",
    Reason.LAST_WAY_IN: "last_way_in",
    Reason.CREDENTIALS_TOO_MANY: "credentials_too_many",
    Reason.CREDENTIAL_TAKEN: "credential_taken",
    Reason.PASSWORD_WRONG: "password_wrong",
}


def wrong(reason: Reason, lang: str) -> str:
    """Why nothing was changed, in words."""
    return texts.say(f"methods.error.{_REASONS.get(reason, 'passkey')}", lang)


def methods(
    around: Around,
    factors: Factors,
    passkeys: Sequence[Passkey],
    links: Sequence[Link],
    providers: Mapping[str, Provider],
    offered: Sequence[tuple[Provider, str]],
    notices: Sequence[Notice],
    form: Sending,
    *,
    offers_passkeys: bool,
    error: str | None = None,
) -> str:
    base, lang = around["base"], around["lang"]
    return methods_pages.methods(
        methods_pages.MethodsView(
            passkeys=tuple(_passkey(one, base) for one in passkeys),
            offers_passkeys=offers_passkeys,
            password=factors.password,
            app=factors.totp,
            codes=factors.recovery,
            links=tuple(_link(link, providers) for link in links),
            providers=tuple(ProviderLine(provider.name, url) for provider, url in offered),
            notices=tuple(
                NoticeLine(_said(notice, lang), notice.at, notice.source or "") for notice in notices
            ),
            action=form.action,
            csrf=form.csrf,
            error=error,
            **around,
        )
    )


def methods_of(around: Around, links: Sequence[Link], providers: Mapping[str, Provider]) -> str:
    """What somebody sees for whom a tenant's own provider vouches: nothing but that."""
    return methods_pages.methods(
        methods_pages.MethodsView(
            passkeys=(),
            offers_passkeys=False,
            password=False,
            app=False,
            codes=0,
            links=tuple(_link(link, providers) for link in links),
            providers=(),
            notices=(),
            action="",
            csrf="",
            partial=True,
            **around,
        )
    )


def ways(factors: Factors, links: int, lang: str) -> list[str]:
    """With what a person can sign in, in words."""
    found = []
    if factors.passkeys:
        found.append(_counted("passkeys", factors.passkeys, lang))
    if factors.password:
        found.append(texts.say("methods.way.password", lang))
    if factors.totp:
        found.append(texts.say("methods.way.app", lang))
    if links:
        found.append(_counted("links", links, lang))
    return found


def new_passkey(around: Around, options: str, name: str, form: Sending, error: str | None) -> str:
    return methods_pages.new_passkey(
        methods_pages.NewPasskeyView(
            options=options,
            name=name,
            action=form.action,
            csrf=form.csrf,
            error=error,
            **around,
        )
    )


def passkey(around: Around, found: Passkey, form: Sending, error: str | None) -> str:
    return methods_pages.passkey(
        methods_pages.PasskeyView(
            passkey=_passkey(found, around["base"]),
            action=form.action,
            csrf=form.csrf,
            error=error,
            **around,
        )
    )


def app(
    around: Around, form: Sending, enrolment: Enrolment | None, error: str | None, *, enrolled: bool
) -> str:
    return methods_pages.app(
        methods_pages.AppView(
            enrolled=enrolled,
            secret=enrolment.secret if enrolment else "",
            address=enrolment.address if enrolment else "",
            picture=picture(enrolment.address) if enrolment else None,
            action=form.action,
            csrf=form.csrf,
            error=error,
            **around,
        )
    )


def codes(around: Around, factors: Factors, form: Sending, new: Sequence[str], error: str | None) -> str:
    return methods_pages.codes(
        methods_pages.CodesView(
            left=factors.recovery,
            possible=factors.totp or factors.passkeys > 0,
            codes=tuple(new),
            action=form.action,
            csrf=form.csrf,
            error=error,
            **around,
        )
    )


def password(around: Around, form: Sending, error: str | None, *, present: bool, done: bool) -> str:
    return methods_pages.password(
        methods_pages.PasswordView(
            present=present, done=done, action=form.action, csrf=form.csrf, error=error, **around
        )
    )


def picture(address: str) -> Markup:
    """A QR code as SVG, without a style or script in it."""
    code = segno.make(address, error="m", micro=False)
    return Markup(code.svg_inline(scale=4, border=4, omitsize=True))  # noqa: S704  drawn here, of squares


def _passkey(found: Passkey, base: str) -> PasskeyLine:
    return PasskeyLine(
        found.name,
        found.created_at,
        found.last_used_at,
        found.backed_up,
        f"{base}/sign-in/passkeys/{found.id}",
    )


def _link(link: Link, providers: Mapping[str, Provider]) -> LinkLine:
    provider = providers.get(link.provider)
    return LinkLine(
        link.id, provider.name if provider else link.provider, link.issuer, link.linked_at, link.used_at
    )


def _said(notice: Notice, lang: str) -> str:
    words = texts.CATALOGUES[texts.choose(lang)]
    for key in (f"methods.notice.{notice.what}.{notice.kind}", f"methods.notice.{notice.what}"):
        if key in words:
            return words[key].format(name=notice.name or "")
    return words["methods.notice.other"]


def _counted(what: str, n: int, lang: str) -> str:
    return texts.say(f"methods.way.{what}.{'one' if n == 1 else 'other'}", lang).format(n=n)
