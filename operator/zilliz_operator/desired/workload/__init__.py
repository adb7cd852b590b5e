"""Milvus itself, one module an engine. Both give `objects(...)` and keep the same names for everybody else to find."""
