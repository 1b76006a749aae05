"""Ways in beside the password: passkeys, one-time codes, recovery codes, and what of them was begun.

Owns: their tables, challenges, half-finished sign-ins, reset links, notices. Offers: `RelyingParty`, `Passkeys`,
`Totp`, `RecoveryCodes`, `Begun`, `Notices`. Never: begins a session, knows passwords, or asks whether a person may.
"""
