"""The `broker` command: a face like any other, for a terminal.

Owns: the commands, their output as table or JSON, and exit codes (0 ok, 1 error, 2 usage, 3 not found, 4 denied,
5 unhealthy). Offers: `main`. Every command parses, calls one verb of a room or of administration, and renders.
Never: decides about the domain, takes a secret as an argument, or shows one twice.
"""
