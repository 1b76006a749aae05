"""WHO: tenants and their doors, users and their sessions, clients and how they prove who they are.

Owns: the three identities that are never mixed. Offers: the rooms below. Never: decides what anybody may do.
"""
