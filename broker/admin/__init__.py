"""Administration: the estate as one file, planned, applied and exported.

Owns: the shape of the estate file, the rules across its objects, the plan of what changes. Offers: `load`,
`Apply` (a whole file or one object, idempotent), `export`, and new secrets and passwords. Every change goes
through the verbs of the rooms below, with its audit record in the same transaction.
Never: opens a store, tells a secret that is already kept, decides about a token.
"""
