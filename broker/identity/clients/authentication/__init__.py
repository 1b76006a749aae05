"""How clients prove who they are: one file per method, chosen by what is presented, pinned to the registration.

Owns: the methods. Offers: `Authenticator.authenticate`. Never: looks at what the client wants.
"""
