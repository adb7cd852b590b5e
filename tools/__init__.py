"""Tools of this repository that run beside the product: the local cluster above all."""
