"""Which of their tenants a person chose for a client: asked once at the root door, then remembered.

Owns: choices. Offers: `Choices`: found, remembered, forgotten. Never: decides who belongs where; a choice that does not
stand any more is asked for again.
"""
