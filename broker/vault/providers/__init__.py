"""The provider table: one file for each provider, a row and its mappers.

Owns: what is particular about a provider. Offers: `PROVIDER` in each file, all together in `broker.vault.reach`.
Never: talks to a provider, or knows who asks.
"""
