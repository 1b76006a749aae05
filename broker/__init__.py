"""The MCP token broker: an OAuth 2.1 authorization server and token broker for the Model Context Protocol.

Owns nothing itself: each room below owns one noun of the domain and is furnished alike
(model, rules, store, verbs, http). `app` composes them, `cli` calls them.
"""
