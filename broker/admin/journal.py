"""What clients of the broker wrote down while they used it: one JSON object for each request they sent.

Members: `asked` (a grant type, `revoke` or `register`), `client`, `presented` (the code, device code, refresh token,
subject token or revoked token), `began` and `ended` (epoch seconds), `status` (null when no answer came), `retry_after`
(whether the answer said when to come back) and `answer` (its body). A journal holds live tokens: keep it as one keeps
those.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from broker.protocol import jws


@dataclass(frozen=True, slots=True)
class Entry:
    """One request; `line` is where it stands in the journal."""

    line: int
    asked: str
    client: str
    presented: str | None
    began: float
    ended: float
    status: int | None
    retry_after: bool
    answer: dict[str, object]

    @property
    def granted(self) -> bool:
        return self.status in (200, 201)

    @property
    def refresh_token(self) -> str | None:
        found = self.answer.get("refresh_token")
        return found if isinstance(found, str) else None


@dataclass(frozen=True, slots=True)
class Delivered:
    """An access token that a client received, by its claims."""

    line: int
    token: str
    client: str
    jti: str
    subject: str
    grant_id: str
    txn: str
    exchanged: bool
    issued_at: float
    expires_at: float

    @property
    def own_work(self) -> bool:
        """A client's own, not made from anybody's consent."""
        return self.subject == self.client and not self.exchanged


def read(lines: Iterable[str]) -> list[Entry]:
    """The entries of a journal; ValueError with the line that is none. A last line that was cut off is left out."""
    entries: list[Entry] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entries.append(_entry(number, json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError):
            if not line.endswith("\n"):
                break
            raise ValueError(f"Line {number} of the journal is no entry.") from None
    return entries


def delivered(entries: Iterable[Entry]) -> list[Delivered]:
    """The access tokens of all entries; ValueError when an answer holds something else in their place."""
    found = ((entry, entry.answer.get("access_token")) for entry in entries if entry.status == 200)
    return [token_of(entry.line, str(token)) for entry, token in found if token is not None]


def token_of(line: int, token: str) -> Delivered:
    """The claims of a token, as they are: whether its signature verifies is another question."""
    try:
        claims = jws.split(token).claims
        return Delivered(
            line=line,
            token=token,
            client=str(claims["client_id"]),
            jti=str(claims["jti"]),
            subject=str(claims["sub"]),
            grant_id=str(claims.get("grant_id", "")),
            txn=str(claims.get("txn", "")),
            exchanged="act" in claims,
            issued_at=float(str(claims["iat"])),
            expires_at=float(str(claims["exp"])),
        )
    except (jws.InvalidToken, KeyError, ValueError):
        raise ValueError(f"Line {line} of the journal holds no access token.") from None


def _entry(number: int, members: dict[str, object]) -> Entry:
    presented, status, answer = members.get("presented"), members["status"], members.get("answer")
    return Entry(
        line=number,
        asked=str(members["asked"]),
        client=str(members["client"]),
        presented=None if presented is None else str(presented),
        began=float(str(members["began"])),
        ended=float(str(members["ended"])),
        status=None if status is None else int(str(status)),
        retry_after=bool(members.get("retry_after", False)),
        answer=answer if isinstance(answer, dict) else {},
    )
