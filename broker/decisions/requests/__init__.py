"""AuthZEN Access Request profile: a client, or a resource's server for it, asks that a refused call is approved.

Owns: /access/v1/requests. Offers: a blueprint for each door. Never: answers one, or tells a client of another's.
"""
