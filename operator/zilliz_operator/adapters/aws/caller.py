"""Who we are at AWS, so that a bucket's policy can leave us in when it shuts everybody else out."""

from typing import Any

from zilliz_operator.api.outside import Caller


def caller(sts: Any) -> Caller:
    """Ask AWS. No right is needed to ask."""
    found = sts.get_caller_identity()
    return Caller(account=found["Account"], arns=principals(found["Arn"]))


def principals(arn: str) -> tuple[str, ...]:
    """An ARN as policies compare it: a session is its role, whose path the session does not tell.

    A role's name is unique in its account, whatever its path; so the pattern with a path means that role alone.
    """
    start, _, resource = arn.rpartition(":")
    kind, _, rest = resource.partition("/")
    if kind != "assumed-role":
        return (arn,)
    role = rest.partition("/")[0]
    account = start.replace(":sts:", ":iam:", 1)
    return f"{account}:role/{role}", f"{account}:role/*/{role}"
