"""Every text of every page, in English, a file for each topic; `broker.web.texts` makes one catalogue of them.

Owns: plain texts by key. Offers: `TEXTS` in each file. Never: markup; a key twice; a text that a template could
not be given in another language.
"""
