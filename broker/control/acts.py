"""RFC 8785: what makes a call this call and no other, as one digest that an approval is bound to."""

import hashlib
from collections.abc import Iterable, Mapping

from broker.control.model import Actor
from broker.protocol import jcs


def digest(
    *,
    subject: str,
    tenant: str,
    client_id: str,
    actors: Iterable[Actor],
    confirmation: Mapping[str, object] | None,
    resource: str,
    tool: str,
    schema_digest: str | None,
    arguments: Mapping[str, object],
) -> str:
    """SHA-256 (hex) over the JCS form; `resource` is its URI. ValueError for arguments without a canonical form."""
    members = {
        "subject": subject,
        "tenant": tenant,
        "client_id": client_id,
        "act": [{"iss": actor.iss, "sub": actor.sub, "client_id": actor.client_id} for actor in actors],
        "cnf": dict(confirmation) if confirmation is not None else None,
        "resource": resource,
        "tool": tool,
        "schema_digest": schema_digest,
        "arguments": dict(arguments),
    }
    return hashlib.sha256(jcs.canonical(members)).hexdigest()
