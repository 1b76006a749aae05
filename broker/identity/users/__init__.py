"""People: accounts, their membership of tenants, and how they prove who they are.

Owns: users, memberships, password hashes. Offers: `SignIn` (step by step, limited), `WaysIn`, `OwnWaysIn`,
`NewPasswords`, `Custody`, `People`. Never: keeps a browser session (identity/sessions does) or gives authority.
"""
