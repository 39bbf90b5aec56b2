"""Commands about roles and tokens, prepared for the writer of CONFIG.

A grant that is held already, a revocation of what is not held, and a token that is gone yield no
events: repeating such a request changes nothing.
"""
