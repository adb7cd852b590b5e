"""One file an aspect of a bucket: `desired` (what is wanted), `observe` (what is there), `apply` (write it).

Wanted and there are compared with `==`, so each file also brings both into one form: stores fold lists of one, reorder
rules and add fields of their own, and none of that is drift.
"""
