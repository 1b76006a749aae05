"""OpenID Connect Back-Channel Logout 1.0 section 2.4: what a logout token says; pure."""

from broker.authorization.logout.model import Notice

EVENT = "http://schemas.openid.net/event/backchannel-logout"
LIFETIME = 120


def claims(notice: Notice, jti: str, now: float) -> dict[str, object]:
    """There is never a nonce in it, so that no client can take it for an id_token."""
    issued_at = int(now)
    return {
        "iss": notice.door,
        "sub": notice.user_id,
        "aud": notice.client_id,
        "iat": issued_at,
        "exp": issued_at + LIFETIME,
        "jti": jti,
        "sid": notice.sid,
        "events": {EVENT: {}},
    }
