"""This server as a client of providers: its secret for each vault resource, sealed.

Owns: those secrets. Offers: `Credentials`: set, and read by whoever asks the provider.
Never: tells one to people or the export of the estate.
"""
