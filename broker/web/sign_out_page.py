"""OpenID Connect RP-Initiated Logout 1.0 section 2: the page that asks whether to sign out."""

from dataclasses import dataclass

from broker.web.page import Page, render


@dataclass(frozen=True, slots=True, kw_only=True)
class SignOutView(Page):
    """`destination`: the host, or an app's scheme, to which the browser goes afterwards. `fields`: hidden ones."""

    door_name: str
    action: str
    csrf: str
    user_id: str
    client_name: str | None = None
    destination: str | None = None
    fields: tuple[tuple[str, str], ...] = ()


def sign_out(view: SignOutView) -> str:
    return render("sign_out.html", view)
