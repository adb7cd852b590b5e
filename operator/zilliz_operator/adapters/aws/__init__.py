"""What a data plane has in AWS, by its API. The object store: one file an aspect, one store that orders them. The network: `ec2`."""
