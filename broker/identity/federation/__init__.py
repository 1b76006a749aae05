"""Sign-in through upstream OpenID providers: others who vouch for people.

Owns: providers, the sign-ins that are under way with them, links from (issuer, subject) to accounts. Offers:
`Providers`, `Upstream` (the client that talks to them), `Federation` (begin, finish), `Links`. Never: links an account
by its e-mail address, takes an algorithm from a provider's metadata, or lets a tenant's provider speak for another.
"""
