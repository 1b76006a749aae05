"""RFC 9110 section 8.8.3 and RFC 9111 section 5.2.2: a document made once, its ETag and its lifetime."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, Self


@dataclass(frozen=True, slots=True)
class Document:
    """The bytes of a JSON document, its strong ETag (with quotes) and for how many seconds it may be kept."""

    body: bytes
    etag: str
    max_age: int

    @classmethod
    def of(cls, members: Mapping[str, object], max_age: int) -> Self:
        """Render the members once."""
        body = json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
        return cls(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"', max_age)


class Source(Protocol):
    """Who provides the documents; None for what is not known. A door's path is `` or `/t/TENANT`."""

    def authorization_server(self, door_path: str) -> Document | None: ...

    def openid(self, door_path: str) -> Document | None: ...

    def authzen(self, door_path: str) -> Document | None: ...

    def protected_resource(self, resource_id: str) -> Document | None: ...

    def jwks(self, door_path: str) -> Document | None: ...
