"""The command line: zilliz-operator and kubectl zilliz."""
