"""Which tenant may register which address as a resource: after proof, or with a root admin's word.

Owns: claims. Offers: `Claims`: made, proved, vouched for, looked at again, withdrawn; and the rule by which a tenant's
own registration is judged. Never: registers anything; the estate file needs no claim, as it is a root admin's word.
"""
