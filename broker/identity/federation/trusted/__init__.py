"""Issuers whose signed word counts here, and for what: ID-JAG, workloads, tokens to exchange.

Owns: trusted issuers, the workloads that they may vouch for, the servers of others for which this one vouches. Offers:
`Issuers`, `Trusted` (believes a token, or says why not), `Workloads`, `Recipients`. Never: takes a key, an algorithm or
an address from a token, or lets one issuer's word count for the tenant of another.
"""
