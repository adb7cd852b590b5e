"""The object store and its identities, by the API of AWS: one file an aspect, one store that orders them."""
