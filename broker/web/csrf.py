"""OWASP ASVS V3.5.1: a form is accepted from the browser and page that it was given to, and from no other site."""

import hashlib
import hmac

from flask import Request

from broker.protocol.errors import OAuthError, Reason


class Csrf:
    """Tokens are derived from a server key, the browser's cookie and what the form is about; none is stored."""

    def __init__(self, key: bytes, issuer: str) -> None:
        self._key, self._issuer = key, issuer

    def token(self, cookie: str, about: str) -> str:
        return hmac.new(self._key, f"{cookie}\0{about}".encode(), hashlib.sha256).hexdigest()

    def same_site(self, request: Request) -> None:
        """OAuthError 403 when the browser says that another site sent the form."""
        if not self.ours(request) or request.headers.get("Origin", self._issuer) != self._issuer:
            raise self._refused(Reason.CROSS_SITE)

    def ours(self, request: Request) -> bool:
        """Whether a page of ours, or the person by themselves, made the browser ask, as far as it says."""
        return request.headers.get("Sec-Fetch-Site", "same-origin") in ("same-origin", "none")

    def check(self, request: Request, cookie: str | None, about: str, token: str | None) -> None:
        """OAuthError 403 when the form came from elsewhere or is out of date."""
        self.same_site(request)
        expected = self.token(cookie or "", about)
        if not cookie or not token or not hmac.compare_digest(expected.encode(), token.encode()):
            raise self._refused(Reason.CSRF)

    def _refused(self, reason: Reason) -> OAuthError:
        return OAuthError(
            "access_denied", "This form is out of date. Go back and try again.", reason, redirectable=False
        )
