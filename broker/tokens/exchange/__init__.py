"""RFC 8693: what may be exchanged for what. Two questions are asked each time, of two different parties.

Owns: the reading of subject and actor tokens, the rules, the growth of the chain. Offers: `AlongEdges`, one way to
exchange among those that the grant type knows (by `requested_token_type`). Never: mints, lets a `may_act` stand for
an edge, or answers one question by the other.
"""
