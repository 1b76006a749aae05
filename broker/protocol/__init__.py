"""What the RFCs say, pure.

Owns: parsing, comparing and rendering the values of the wire: scopes, resource indicators, PKCE, redirect
URIs, JWS, canonical JSON, challenges, errors, names, parameters.
Offers: functions of their arguments, and the nouns they return.
Never does: input or output, time, randomness, a framework, knowledge of who asks.
"""
