"""The evaluator that judges our policies, judged itself by what AWS' pages say."""

from typing import Any

import pytest

from tests.iam.evaluator import ANONYMOUS, Principal, Request, Unjudged, allowed, like

ME, ACCOUNT, OTHER = "arn:aws:iam::111122223333:role/app/me", "111122223333", "444455556666"
BUCKET = "arn:aws:s3:::b"


def document(**statement: Any) -> dict[str, Any]:
    base = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [base | statement]}


def me(*policies: dict[str, Any], **changes: Any) -> Principal:
    return Principal(**({"arn": ME, "account": ACCOUNT, "policies": policies} | changes))


def asked(who: Principal, *, action: str = "s3:GetObject", owner: str = ACCOUNT, **context: str) -> Request:
    return Request(principal=who, action=action, resource=f"{BUCKET}/k", owner=owner, context=context)


def test_nothing_is_allowed_that_nobody_allows() -> None:
    assert not allowed(asked(me()))
    assert allowed(asked(me(document())))


def test_a_deny_anywhere_wins() -> None:
    deny = document(Effect="Deny")
    assert not allowed(asked(me(document(), deny)))
    assert not allowed(asked(me(document())), document(Effect="Deny", Principal="*"))
    assert not allowed(asked(me(document(), boundary=deny)))


def test_a_boundary_allows_nothing_by_itself_and_must_allow_too() -> None:
    assert not allowed(asked(me(boundary=document())))
    assert not allowed(asked(me(document(), boundary=document(Action="s3:PutObject"))))
    assert allowed(asked(me(document(), boundary=document(Action="s3:*"))))


def test_over_the_border_of_accounts_both_must_allow() -> None:
    open_to_me = document(Principal={"AWS": ME})
    assert not allowed(asked(me(document()), owner=OTHER))
    assert not allowed(asked(me(), owner=OTHER), open_to_me)
    assert allowed(asked(me(document()), owner=OTHER), open_to_me)
    assert allowed(asked(me()), open_to_me)  # in one account either is enough


def test_the_public_is_let_in_by_the_resource_alone() -> None:
    assert allowed(asked(ANONYMOUS), document(Principal="*"))
    assert not allowed(asked(ANONYMOUS), document(Principal={"AWS": ME}))
    assert not allowed(asked(ANONYMOUS))


@pytest.mark.parametrize(
    ("action", "fits"),
    [
        ("s3:*", True),
        ("S3:getobject", True),
        ("s3:Get*", True),
        ("s3:GetObjec?", True),
        ("*", True),
        ("s3:Put*", False),
    ],
)
def test_actions_have_wildcards_and_no_case(action: str, fits: bool) -> None:
    assert allowed(asked(me(document(Action=action)))) is fits


@pytest.mark.parametrize(
    ("resource", "fits"),
    [
        (f"{BUCKET}/*", True),
        (f"{BUCKET}*", True),
        (BUCKET, False),
        ("arn:aws:s3:::B/*", False),
        ("arn:aws:s3:::c/*", False),
    ],
)
def test_resources_have_wildcards_and_case(resource: str, fits: bool) -> None:
    assert allowed(asked(me(document(Resource=resource)))) is fits


def test_what_is_not_listed() -> None:
    whole: dict[str, Any] = {"Version": "2012-10-17"}
    but_put = whole | {"Statement": {"Effect": "Allow", "NotAction": "s3:PutObject", "NotResource": "arn:aws:s3:::c/*"}}
    assert allowed(asked(me(but_put))) and not allowed(asked(me(but_put), action="s3:PutObject"))


@pytest.mark.parametrize(
    ("operator", "values", "present", "absent"),
    [
        ("StringEquals", "a", True, False),
        ("StringEquals", ["x", "a"], True, False),
        ("StringEquals", "A", False, False),
        ("StringNotEquals", "a", False, True),
        ("StringNotEquals", ["x", "a"], False, True),
        ("StringLike", "?", True, False),
        ("StringNotLike", "b*", True, True),
        ("StringEqualsIfExists", "b", False, True),
        ("Null", "true", False, True),
        ("Null", "false", True, False),
    ],
)
def test_conditions_on_a_key_that_is_there_or_not(operator: str, values: Any, present: bool, absent: bool) -> None:
    policy = document(Condition={operator: {"aws:Key": values}})
    assert allowed(asked(me(policy), **{"AWS:key": "a"})) is present
    assert allowed(asked(me(policy))) is absent


def test_all_conditions_must_hold() -> None:
    policy = document(Condition={"StringEquals": {"aws:A": "1", "aws:B": "2"}, "Bool": {"aws:C": "true"}})
    whole = {"aws:A": "1", "aws:B": "2", "aws:C": "true"}
    assert allowed(asked(me(policy), **whole))
    for key in whole:
        assert not allowed(asked(me(policy), **(whole | {key: "3"})))


def test_numbers_and_arns() -> None:
    old = document(Condition={"NumericLessThan": {"s3:TlsVersion": "1.2"}})
    assert allowed(asked(me(old), **{"s3:TlsVersion": "1.1"})) and not allowed(
        asked(me(old), **{"s3:TlsVersion": "1.2"})
    )
    for operator, fits in (("ArnEquals", True), ("ArnLike", True), ("ArnNotEquals", False), ("ArnNotLike", False)):
        policy = document(Condition={operator: {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/app/*"}})
        assert allowed(asked(me(policy))) is fits
    over_a_colon = document(Condition={"ArnLike": {"aws:PrincipalArn": "arn:*:role/app/me"}})
    assert not allowed(asked(me(over_a_colon)))


@pytest.mark.parametrize(
    "statement",
    [
        {"Condition": {"DateGreaterThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}}},
        {"Condition": {"ForAnyValue:StringEquals": {"aws:TagKeys": "a"}}},
        {"Resource": "arn:aws:s3:::${aws:username}"},
        {"Else": "where"},
    ],
)
def test_what_it_does_not_know_is_an_error_and_no_guess(statement: dict[str, Any]) -> None:
    with pytest.raises(Unjudged):
        allowed(asked(me(document(**statement))))


def test_a_whole_account_delegates_and_is_not_judged() -> None:
    with pytest.raises(Unjudged):
        allowed(asked(me()), document(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"}))


def test_wildcards_are_no_regular_expressions() -> None:
    assert like("a.b", "a.b") and not like("axb", "a.b") and like("a+b", "a+?")
