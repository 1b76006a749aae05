"""What happened, said once.

Owns: the audit records and the personal values beside them. Offers: `Recorder.record`, called inside the
transaction of the act; `Refusals`, the evidence of what did not happen; query and trace.
Never: decides anything, changes a record, or holds a token, code or secret.
"""
