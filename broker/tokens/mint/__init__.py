"""Kinds of token, one file each, made from an `Authority` that the pipeline has judged.

Owns: the shape of tokens. Offers: `access`, `identity`, `id_jag`. Never: is called by anybody but the pipeline.
"""
