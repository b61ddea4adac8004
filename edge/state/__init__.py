"""What a kit keeps in its state folder over a power cut, beside its models and its outbox.

``durable`` puts whole files in place of others; ``switches`` and ``modes`` are what people chose; ``claim``
is the lock of the one daemon that may write there.
"""
