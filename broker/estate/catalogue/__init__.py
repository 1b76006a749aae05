"""What servers say that their tools are, and what somebody made of it.

Owns: definitions of tools, as they were seen and as they were looked at. Offers: looking at a live server, reviewing
what it said, and the estate's tools joined with both. Never: calls a tool, or changes the estate file's own members.
"""
