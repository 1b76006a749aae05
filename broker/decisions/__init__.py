"""The question that a resource server asks before each call, what it reports after it, and the catalogue it reads.

Owns: decisions and their outcomes. Offers: AuthZEN evaluation, access requests, outcomes, the catalogue.
Never: calls a tool, or keeps a token.
"""
