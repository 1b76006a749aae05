"""MCP 2026-07-28, server/tools: what a server says of one of its tools, and the digest by which a change shows."""

import hashlib
from collections.abc import Mapping

from broker.protocol import jcs


def schema_digest(name: str, description: str | None, schema: Mapping[str, object]) -> str:
    """SHA-256 (hex) over the JCS form of name, description and inputSchema; ValueError where there is no such form.

    A tool without a description has an empty one: what a model is told is the same.
    """
    members = {"name": name, "description": description or "", "inputSchema": dict(schema)}
    return hashlib.sha256(jcs.canonical(members)).hexdigest()
