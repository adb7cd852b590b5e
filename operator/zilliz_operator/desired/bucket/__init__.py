"""What a cluster's buckets must be: one file an aspect, each a frozen dataclass that a store's answer is compared with.

`bucket.py` puts the aspects together into the three buckets of a cluster. A store that cannot do an aspect is no reason
to leave it out here: the adapter reports it "unsupported" and the condition says so.
"""
