"""The outside world, thin: time, chance, the database, short-lived shared state, outgoing HTTP, the log.

Owns: the only reads of clock and randomness, the only engine, the only HTTP client of the server.
Offers: `World`, one value that carries them to the rooms; `Transaction`, a value that names its tenant.
Never: knows a noun of the domain.
"""
