"""A person's own accounts at systems that are not ours: connected, looked at, disconnected.

Owns: /connections and the pages below it. Offers: a blueprint, and whom `interaction_uri` leads to. Never: shows a
token, connects anything for anybody but the person who is signed in, or sends a browser where the estate does not say.
"""
