"""What each principal could do, derived from the policies that would be written: no right that the table does not name."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.iam.evaluator import ANONYMOUS, Principal, Request, allowed, assumable
from tests.iam.world import (
    ACTIONS,
    BEYOND,
    DELETE,
    GET,
    LIST,
    MANAGE,
    MAY,
    PURPOSES,
    PUT,
    ROLES,
    cells,
    clusters,
)
from tests.unit.desired.samples import documents
from zilliz_operator.api.outside import Caller
from zilliz_operator.desired import identity, store
from zilliz_operator.desired.bucket.policy import bucket_policy
from zilliz_operator.desired.context import BACKUP, GATEWAY, MILVUS, ClusterContext

AWS = documents("dataplane-aws.yaml")[0]
ACCOUNT, OTHER_ACCOUNT, REGION = "111122223333", "444455556666", "us-west-2"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
CLUSTERS = clusters(AWS)
WITH_KEY = clusters(AWS, storage={"kmsKeyArn": KEY})
OPERATOR = Caller(account=ACCOUNT, arns=(f"arn:aws:iam::{ACCOUNT}:role/zilliz-operator",))
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
OPERATOR_POLICY = Path(__file__).parents[3] / "docs/examples/aws-operator-policy.json"


def principal(ctx: ClusterContext, role: str, **changes: Any) -> Principal:
    found = identity.IDENTITIES[role](ctx)
    fields = {"policies": (found.policy_document(),), "boundary": EVERYTHING} | changes
    return Principal(arn=store.principal_arn(ctx, role, account=ACCOUNT), account=ACCOUNT, **fields)


def resource(ctx: ClusterContext, purpose: str, action: str) -> str:
    arn = f"arn:aws:s3:::{store.bucket_name(ctx, purpose)}"
    return arn if action == LIST or action in MANAGE else f"{arn}/files/insert_log/1"


def ask(who: Principal, ctx: ClusterContext, purpose: str, action: str, **context: str) -> Request:
    return Request(
        principal=who, action=action, resource=resource(ctx, purpose, action), owner=ACCOUNT, context=context
    )


def data_policy(ctx: ClusterContext) -> dict[str, Any]:
    return bucket_policy(ctx, "data", operator=OPERATOR).document()


@pytest.mark.parametrize("keyed", [False, True], ids=["roles", "users"])
def test_nobody_may_do_what_the_table_does_not_name(keyed: bool) -> None:
    plane = documents("dataplane-aws.yaml")[0]
    plane["spec"]["objectStorage"]["identity"] = "AccessKeys" if keyed else "IRSA"
    found = clusters(plane)
    asked = cells(tuple(found), ACTIONS)
    assert len(asked) == 2 * len(ROLES) * 2 * len(PURPOSES) * len(ACTIONS)
    differences = [
        each
        for each in asked
        if allowed(ask(principal(found[each.asker], each.role), found[each.cluster], each.purpose, each.action))
        is not each.expected
    ]
    assert differences == []
    assert sum(each.expected for each in asked) == 2 * sum(len(actions) for actions in MAY.values())


def test_the_buckets_own_policy_takes_nothing_from_milvus() -> None:
    for name, ctx in CLUSTERS.items():
        for action in (LIST, GET, PUT, DELETE):
            assert allowed(ask(principal(ctx, MILVUS), ctx, "data", action), data_policy(ctx)), (name, action)


@pytest.mark.parametrize("action", ACTIONS)
def test_the_buckets_own_policy_keeps_outsiders_out_whatever_their_own_rights(action: str) -> None:
    ctx = CLUSTERS["search"]
    stranger = Principal(arn=f"arn:aws:iam::{OTHER_ACCOUNT}:role/admin", account=OTHER_ACCOUNT, policies=(EVERYTHING,))
    for who in (stranger, ANONYMOUS):
        assert not allowed(ask(who, ctx, "data", action), data_policy(ctx))
    over_http = ask(principal(ctx, MILVUS), ctx, "data", action, **{"aws:SecureTransport": "false"})
    over_old_tls = ask(principal(ctx, MILVUS), ctx, "data", action, **{"s3:TlsVersion": "1.1"})
    assert not allowed(over_http, data_policy(ctx)) and not allowed(over_old_tls, data_policy(ctx))


@pytest.mark.parametrize("action", [GET, PUT])
def test_an_administrator_of_the_account_reads_no_objects(action: str) -> None:
    ctx, other = CLUSTERS["search"], CLUSTERS["orders"]
    administrator = Principal(arn=f"arn:aws:iam::{ACCOUNT}:role/admin", account=ACCOUNT, policies=(EVERYTHING,))
    neighbour = principal(other, MILVUS, policies=(EVERYTHING,))
    for who in (administrator, neighbour):
        assert allowed(ask(who, ctx, "data", action)), "its own rights alone would let it"
        assert not allowed(ask(who, ctx, "data", action), data_policy(ctx))


def test_a_boundary_caps_every_role() -> None:
    ctx = CLUSTERS["search"]
    reading = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}}
    who = principal(ctx, MILVUS, boundary=reading)
    assert allowed(ask(who, ctx, "data", GET)) and not allowed(ask(who, ctx, "data", PUT))
    for role in ROLES:
        assert (
            identity.IDENTITIES[role](ctx).permissions_boundary_arn == f"arn:aws:iam::{ACCOUNT}:policy/zilliz-boundary"
        )


def test_exactly_one_service_account_assumes_each_role() -> None:
    """Every ServiceAccount of both clusters and of others, every role, right and wrong audiences, providers and actions."""
    provider = AWS["spec"]["objectStorage"]["oidcProviderArn"]
    issuer = provider.partition(":oidc-provider/")[2]
    foreign = provider.replace("EXAMPLED", "EXAMPLEE")
    subjects = [(ctx.namespace, role) for ctx in CLUSTERS.values() for role in ROLES]
    subjects += [("default", MILVUS), ("kube-system", GATEWAY), (CLUSTERS["search"].namespace, "default")]
    through = []
    for owner, ctx in CLUSTERS.items():
        for role in ROLES:
            trust = identity.IDENTITIES[role](ctx).trust
            assert trust is not None
            for namespace, account in subjects:
                for audience in ("sts.amazonaws.com", "https://kubernetes.default.svc", ""):
                    for by in (provider, foreign):
                        for action in ("sts:AssumeRoleWithWebIdentity", "sts:AssumeRole", "sts:TagSession"):
                            claims = {f"{issuer}:sub": f"system:serviceaccount:{namespace}:{account}"}
                            claims |= {f"{issuer}:aud": audience} if audience else {}
                            if assumable(trust.document(), provider=by, claims=claims, action=action):
                                through.append((owner, role, namespace, account, audience, by, action))
    assert through == [
        (owner, role, ctx.namespace, role, "sts.amazonaws.com", provider, "sts:AssumeRoleWithWebIdentity")
        for owner, ctx in CLUSTERS.items()
        for role in ROLES
    ]


def test_nobody_else_in_the_account_assumes_a_role() -> None:
    administrator = Principal(arn=f"arn:aws:iam::{ACCOUNT}:role/admin", account=ACCOUNT)
    for role in ROLES:
        found = identity.IDENTITIES[role](CLUSTERS["search"])
        assert found.trust is not None
        request = Request(principal=administrator, action="sts:AssumeRole", resource="*", owner=ACCOUNT)
        assert not allowed(request, found.trust.document())


KEY_USE = {
    (MILVUS, "data"): {"kms:Decrypt", "kms:GenerateDataKey"},
    (GATEWAY, "audit"): {"kms:GenerateDataKey"},
    (BACKUP, "data"): {"kms:Decrypt"},
    (BACKUP, "backup"): {"kms:Decrypt", "kms:GenerateDataKey"},
}


@pytest.mark.parametrize("whole", [True, False], ids=["bucket-key", "object-key"])
def test_the_customers_key_serves_each_identity_for_its_own_buckets_through_s3_alone(whole: bool) -> None:
    def may(asker: ClusterContext, role: str, owner: ClusterContext, purpose: str, action: str, **more: str) -> bool:
        arn = f"arn:aws:s3:::{store.bucket_name(owner, purpose)}"
        context = {
            "kms:ViaService": f"s3.{REGION}.amazonaws.com",
            "kms:EncryptionContext:aws:s3:arn": arn if whole else f"{arn}/files/1",
        } | more
        context = {key: value for key, value in context.items() if value}
        request = Request(principal=principal(asker, role), action=action, resource=KEY, owner=ACCOUNT, context=context)
        return allowed(request)

    actions = ("kms:Decrypt", "kms:GenerateDataKey", "kms:Encrypt", "kms:CreateGrant", "kms:ScheduleKeyDeletion")
    for cell in cells(tuple(WITH_KEY), actions):
        asker, owner = WITH_KEY[cell.asker], WITH_KEY[cell.cluster]
        expected = asker is owner and cell.action in KEY_USE.get((cell.role, cell.purpose), set())
        assert may(asker, cell.role, owner, cell.purpose, cell.action) is expected, cell
        for elsewhere in ("", "s3.eu-west-1.amazonaws.com", f"ec2.{REGION}.amazonaws.com"):
            assert not may(asker, cell.role, owner, cell.purpose, cell.action, **{"kms:ViaService": elsewhere}), cell
        assert not may(
            asker, cell.role, owner, cell.purpose, cell.action, **{"kms:EncryptionContext:aws:s3:arn": ""}
        ), cell


def test_without_a_key_of_the_customers_nobody_has_a_right_on_any() -> None:
    for role in ROLES:
        actions = {
            action
            for statement in identity.IDENTITIES[role](CLUSTERS["search"]).policy_document()["Statement"]
            for action in statement["Action"]
        }
        assert not any(action.startswith("kms:") for action in actions)


def test_the_operators_role_manages_buckets_of_the_prefix_and_reads_no_object() -> None:
    policy = json.loads(OPERATOR_POLICY.read_text())
    operator = Principal(arn=f"arn:aws:iam::{ACCOUNT}:role/zilliz-operator", account=ACCOUNT, policies=(policy,))
    for ctx in CLUSTERS.values():
        for purpose in PURPOSES:
            for action in (LIST, GET, PUT, DELETE, *BEYOND, "s3:DeleteBucket", "s3:DeleteBucketPolicy"):
                assert not allowed(ask(operator, ctx, purpose, action)), action
            for action in set(MANAGE) - {"s3:DeleteBucket", "s3:DeleteBucketPolicy"}:
                assert allowed(ask(operator, ctx, purpose, action)), action
    others = Request(principal=operator, action="s3:PutBucketPolicy", resource="arn:aws:s3:::payroll", owner=ACCOUNT)
    assert not allowed(others)


def test_the_operators_role_makes_roles_under_its_path_and_below_the_boundary_alone() -> None:
    policy = json.loads(OPERATOR_POLICY.read_text())
    operator = Principal(arn=f"arn:aws:iam::{ACCOUNT}:role/zilliz-operator", account=ACCOUNT, policies=(policy,))
    boundary = AWS["spec"]["objectStorage"]["permissionsBoundaryArn"]

    def may(action: str, arn: str, **context: str) -> bool:
        return allowed(Request(principal=operator, action=action, resource=arn, owner=ACCOUNT, context=context))

    for role in ROLES:
        arn = store.role_arn(CLUSTERS["search"], role)
        for action in ("iam:CreateRole", "iam:AttachRolePolicy"):
            assert may(action, arn, **{"iam:PermissionsBoundary": boundary})
            assert not may(action, arn)
            assert not may(action, arn, **{"iam:PermissionsBoundary": f"arn:aws:iam::{ACCOUNT}:policy/mine"})
        assert may("iam:UpdateAssumeRolePolicy", arn)
        assert not may("iam:PassRole", arn)
    assert not may("iam:CreateRole", f"arn:aws:iam::{ACCOUNT}:role/admin", **{"iam:PermissionsBoundary": boundary})
    assert not may("iam:CreateAccessKey", f"arn:aws:iam::{ACCOUNT}:user/admin")
