"""WHAT: resources (MCP servers, downstream systems), their scopes and tools, and the edges between them.

Owns: resource and edge rows. Offers: `Estate`, an immutable snapshot that requests are judged by.
Never: knows who asks.
"""
