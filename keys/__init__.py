"""Signing keys, and everything sealed under the key-encryption key.

Owns the table of signing keys, their life (pending, active, retiring, retired) and the back ends that sign.
Offers `KeyEncryptionKey` to seal and derive, `plan` and `advance` to rotate, `Keyring` to look up a signer
and the published key set of a door, and `encode` to sign a JWT.
Never verifies a token, never imports anything of `broker`, never begins or commits a transaction, never reads
the clock, and never lets a private key leave it unsealed.
"""
