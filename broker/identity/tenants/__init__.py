"""Tenants, their doors (issuers), and the keys behind each door.

Owns: the tenant rows and the door → key ring relation. Offers: `Doors`, which knows every issuer of this server;
`DoorKeys`, which signs. Never: knows users or clients.
"""
