"""Visits to providers that are under way: each is of one person, browser, resource, tenant and door.

Owns: what waits for a person to come back. Offers: `Underway` (begin, take back once).
Never: keeps what proves the visit to the provider (it is made from the state), or talks to one.
"""
