"""RFC 6265bis section 4.1.3: opaque cookies, `__Host-` on TLS; each names a browser, never says anything."""

from flask import Request, Response


class Cookie:
    """`secure` false is for http on loopback, where browsers refuse the prefix. `name` tells it from the session's.

    `lifetime` in seconds; without one the browser forgets it when it is closed.
    """

    def __init__(self, secure: bool, name: str = "", lifetime: int | None = None) -> None:
        self._secure, self._lifetime = secure, lifetime
        self.name = ("__Host-broker" if secure else "broker") + (f"-{name}" if name else "")

    def read(self, request: Request) -> str | None:
        value = request.cookies.get(self.name)
        return value if value and len(value) <= 128 and value.isascii() and value.isprintable() else None

    def write(self, response: Response, value: str) -> Response:
        response.set_cookie(
            self.name,
            value,
            max_age=self._lifetime,
            secure=self._secure,
            httponly=True,
            samesite="Lax",
            path="/",
        )
        return response
