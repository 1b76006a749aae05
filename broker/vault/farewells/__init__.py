"""What providers still have to be told: tokens to be revoked there, sealed, until each is or has ended by itself.

Owns: that queue. Offers: `Farewells` (queue within the act's transaction; deliver afterwards, with growing pauses).
Never: holds up the act that a farewell tells of.
"""
