"""Grant types, one file each: what does this thing entitle its holder to?

Owns: nothing. Offers: `Authority`, a ceiling and never a token. Never: mints, or imports another grant type.
"""
