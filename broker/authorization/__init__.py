"""The front channel: what a browser goes through between a client's request and its code.

Owns: authorization requests between two visits, grants (what a consent leaves behind), codes. Offers: `Authorize`
(named steps), `Consent`, `Grants`, `Codes`. Never: mints a token.
"""
