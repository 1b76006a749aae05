"""OWASP ASVS V6.3, V6.4: the later pages of signing in: one more factor, and a new password."""

from dataclasses import dataclass

from broker.web.page import Page, render
from broker.web.pages import PasskeyForm


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyView(Page):
    """`fields`: hidden ones, (name, value). `by_app`, `by_recovery`: which codes do; `passkey`: None if none does.

    `other_account`: address of the first page, for somebody else.
    """

    action: str
    csrf: str
    user_name: str
    user_id: str
    other_account: str
    fields: tuple[tuple[str, str], ...] = ()
    passkey: PasskeyForm | None = None
    by_app: bool = False
    by_recovery: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetView(Page):
    """`token`: value of the hidden field `token`. `least`: how many characters a password has at least."""

    action: str
    csrf: str
    token: str
    user_name: str
    user_id: str
    least: int
    error: str | None = None


def verify(view: VerifyView) -> str:
    return render("verify.html", view)


def reset(view: ResetView) -> str:
    return render("reset.html", view)
