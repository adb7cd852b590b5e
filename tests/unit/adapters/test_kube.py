"""The Kubernetes client: what is on the wire, what is repeated, and which error each answer becomes."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from tests.unit.adapters.apistub import ApiStub, always, drop, hang, status, times
from zilliz_operator.adapters.kube import KubeClient, path_of
from zilliz_operator.api.exceptions import Conflict, InvalidSpec, NotReady, Rejected, Unavailable

NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "s", "namespace": "n"},
    "data": {"password": "aHVudGVyMg=="},
}


def test_path_of_knows_core_groups_namespaces_and_subresources() -> None:
    assert path_of("Namespace", "n") == "/api/v1/namespaces/n"
    assert path_of("Secret", "s", "n") == "/api/v1/namespaces/n/secrets/s"
    assert path_of("Secret") == "/api/v1/secrets"
    assert path_of("ZillizCluster", "z", "n", subresource="status").endswith(
        "/v1alpha1/namespaces/n/zillizclusters/z/status"
    )


def test_path_of_refuses_a_namespaced_object_without_namespace() -> None:
    with pytest.raises(ValueError, match="Secret s needs a namespace"):
        path_of("Secret", "s")


async def test_apply_is_a_forced_server_side_apply(kube: KubeClient, stub: ApiStub) -> None:
    live = await kube.apply(NAMESPACE)
    (seen,) = stub.seen
    assert (seen.method, seen.path, seen.content_type) == (
        "PATCH",
        "/api/v1/namespaces/n",
        "application/apply-patch+yaml",
    )
    assert seen.query == {"fieldManager": "zilliz-operator", "force": "true"}
    assert live["metadata"]["uid"]


async def test_get_answers_none_for_what_does_not_exist(kube: KubeClient) -> None:
    assert await kube.get("Namespace", "absent") is None


async def test_list_follows_pages_names_types_and_selects_by_labels(kube: KubeClient, stub: ApiStub) -> None:
    pages = {"": ("a", "2"), "2": ("b", "")}

    async def paged(request: web.Request) -> web.StreamResponse:
        name, following = pages[request.query.get("continue", "")]
        return web.json_response({"metadata": {"continue": following}, "items": [{"metadata": {"name": name}}]})

    stub.fault = paged
    found = await kube.list("Secret", "n", labels={"b": "2", "a": "1"})
    assert [(item["kind"], item["apiVersion"], item["metadata"]["name"]) for item in found] == [
        ("Secret", "v1", "a"),
        ("Secret", "v1", "b"),
    ]
    assert [seen.query["labelSelector"] for seen in stub.seen] == ["a=1,b=2"] * 2


async def test_list_starts_over_when_the_page_token_expired(kube: KubeClient, stub: ApiStub) -> None:
    answers = iter(
        [
            web.json_response({"metadata": {"continue": "old"}, "items": [{"metadata": {"name": "a"}}]}),
            status(410, "Expired"),
            web.json_response({"items": [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}]}),
        ]
    )

    async def expiring(_: web.Request) -> web.StreamResponse:
        return next(answers)

    stub.fault = expiring
    assert [item["metadata"]["name"] for item in await kube.list("Secret")] == ["a", "b"]


async def test_list_of_a_kind_that_is_not_installed_is_empty(kube: KubeClient) -> None:
    assert list(await kube.list("Certificate", "n")) == []


async def test_create_raises_conflict_when_the_name_exists(kube: KubeClient) -> None:
    await kube.create(NAMESPACE)
    with pytest.raises(Conflict):
        await kube.create(NAMESPACE)


async def test_delete_sends_the_uid_and_gone_is_success(kube: KubeClient, stub: ApiStub) -> None:
    uid = (await kube.apply(NAMESPACE))["metadata"]["uid"]
    with pytest.raises(Conflict):
        await kube.delete("Namespace", "n", uid="another")
    await kube.delete("Namespace", "n", uid=uid)
    await kube.delete("Namespace", "n", uid=uid)
    assert stub.objects == {}


async def test_status_is_patched_under_a_manager_of_its_own(kube: KubeClient, stub: ApiStub) -> None:
    await kube.merge_patch("ZillizCluster", "z", "n", {"status": {"phase": "x"}}, subresource="status")
    (seen,) = stub.seen
    assert seen.content_type == "application/merge-patch+json"
    assert seen.path.endswith("/zillizclusters/z/status")
    assert seen.query == {"fieldManager": "zilliz-operator-status"}


async def test_an_empty_patch_body_is_still_a_body(kube: KubeClient, stub: ApiStub) -> None:
    await kube.merge_patch("Namespace", "n", None, {"metadata": {}})
    assert stub.seen[0].body is not None


async def test_event_is_about_the_object_and_its_failure_stops_nothing(kube: KubeClient, stub: ApiStub) -> None:
    regarding = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "n", "uid": "u"}}
    await kube.event(regarding, type="Warning", reason="Broken", message="é" * 2000)
    body = stub.seen[0].body
    assert body["regarding"] == {"apiVersion": "v1", "kind": "Secret", "name": "s", "namespace": "n", "uid": "u"}
    assert len(body["note"].encode()) <= 1024
    assert (body["type"], body["reason"], body["action"]) == ("Warning", "Broken", "Reconcile")
    stub.fault = always(403, "Forbidden")
    await kube.event(regarding, type="Normal", reason="Fine", message="m")


@pytest.mark.parametrize("code", [429, 500, 503])
async def test_apply_is_repeated_until_the_server_recovers(kube: KubeClient, stub: ApiStub, code: int) -> None:
    stub.fault = times(2, code)
    await kube.apply(NAMESPACE)
    assert len(stub.seen) == 3


async def test_retry_after_is_honoured(kube: KubeClient, stub: ApiStub) -> None:
    stub.fault = times(1, 429, headers={"Retry-After": "0.3"})
    started = asyncio.get_running_loop().time()
    await kube.apply(NAMESPACE)
    assert asyncio.get_running_loop().time() - started >= 0.3


async def test_create_is_not_repeated_after_it_may_have_worked(kube: KubeClient, stub: ApiStub) -> None:
    stub.fault = times(1, 500)
    with pytest.raises(Unavailable, match="answered 500"):
        await kube.create(NAMESPACE)
    assert len(stub.seen) == 1


async def test_create_is_repeated_when_it_was_refused_before_any_work(kube: KubeClient, stub: ApiStub) -> None:
    stub.fault = times(1, 429)
    await kube.create(NAMESPACE)
    assert len(stub.seen) == 2


async def test_a_dropped_connection_is_an_outage(kube: KubeClient, stub: ApiStub) -> None:
    stub.fault = drop
    with pytest.raises(Unavailable, match="no answer to get Namespace n"):
        await kube.get("Namespace", "n")
    assert len(stub.seen) >= 4


async def test_a_refused_connection_is_an_outage_that_names_the_server(kube: KubeClient, stub: ApiStub) -> None:
    await stub.stop()
    with pytest.raises(Unavailable) as caught:
        await kube.create(NAMESPACE)
    assert caught.value.what == f"Kubernetes API {stub.url}"


async def test_a_hanging_server_ends_with_the_time_out(stub: ApiStub) -> None:
    stub.fault = hang
    access = stub.access()
    async with KubeClient(access, timeout=0.2, attempts=1) as kube:
        with pytest.raises(Unavailable, match="no answer"):
            await asyncio.wait_for(kube.get("Namespace", "n"), 2)
    await access.close()


async def test_forbidden_names_verb_and_resource(kube: KubeClient, stub: ApiStub) -> None:
    stub.fault = always(403, "Forbidden", message="RBAC says no")
    with pytest.raises(Rejected, match=r"patch networkpolicies\.networking\.k8s\.io in namespace n: RBAC says no"):
        await kube.apply(
            {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p", "namespace": "n"}}
        )


async def test_a_namespace_that_is_going_away_is_not_a_matter_of_rights(kube: KubeClient, stub: ApiStub) -> None:
    stub.fault = always(403, "Forbidden", causes=[{"reason": "NamespaceTerminating"}])
    with pytest.raises(NotReady, match="being deleted"):
        await kube.create(SECRET)


async def test_refused_credentials_say_what_to_renew(kube: KubeClient, stub: ApiStub) -> None:
    stub.fault = always(401, "Unauthorized")
    with pytest.raises(Rejected, match="kubeconfig"):
        await kube.get("Namespace", "n")


async def test_invalid_names_the_field(kube: KubeClient, stub: ApiStub) -> None:
    stub.fault = always(422, "Invalid", message="spec.replicas: must be positive", causes=[{"field": "spec.replicas"}])
    with pytest.raises(InvalidSpec) as caught:
        await kube.apply(NAMESPACE)
    assert caught.value.path == "Namespace n spec.replicas"


async def test_a_refused_secret_is_never_quoted(kube: KubeClient, stub: ApiStub) -> None:
    stub.fault = always(
        422, "Invalid", message='data.password: Invalid value: "hunter2"', causes=[{"field": "data.password"}]
    )
    with pytest.raises(InvalidSpec) as caught:
        await kube.apply(SECRET)
    assert "hunter2" not in str(caught.value)


async def test_every_request_is_counted(stub: ApiStub) -> None:
    counted: list[tuple[str, str, int]] = []
    access = stub.access()
    async with KubeClient(access, on_request=lambda *request: counted.append(request)) as kube:
        await kube.apply(NAMESPACE)
        await kube.get("Secret", "s", "n")
        await stub.stop()
        with pytest.raises(Unavailable):
            await kube.create(NAMESPACE)
    await access.close()
    assert counted[:2] == [("patch", "Namespace", 201), ("get", "Secret", 404)]
    assert counted[2] == ("create", "Namespace", 0)


async def test_resources_lists_what_is_served(kube: KubeClient, stub: ApiStub) -> None:
    stub.objects["/apis/byoc.zilliz.com/v1alpha1"] = {
        "resources": [{"name": "zillizclusters"}, {"name": "zillizclusters/status"}]
    }
    assert "zillizclusters" in await kube.resources("byoc.zilliz.com/v1alpha1")
    assert await kube.resources("absent.io/v1") == frozenset()


async def test_documents_texts_and_reviews(kube: KubeClient, stub: ApiStub) -> None:
    stub.objects["/openapi/v3/apis/x/v1"] = {"openapi": "3.0.0"}
    assert await kube.document("/openapi/v3/apis/x/v1") == {"openapi": "3.0.0"}
    assert await kube.document("/openapi/v3/apis/absent/v1") is None

    async def answer(request: web.Request) -> web.StreamResponse | None:
        if request.path == "/metrics":
            assert request.headers["Accept"] == "text/plain"
            return web.Response(text="a_total 1\n")
        if request.path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews":
            assert (await request.json())["spec"] == {"resourceAttributes": {"verb": "get"}}
            return web.json_response({"status": {"allowed": True}}, status=201)
        return None

    stub.fault = answer
    assert await kube.text("/metrics") == "a_total 1\n"
    assert await kube.review("SelfSubjectAccessReview", {"resourceAttributes": {"verb": "get"}}) == {"allowed": True}


async def test_a_refused_text_names_what_was_asked(kube: KubeClient, stub: ApiStub) -> None:
    stub.fault = always(403, "Forbidden", message='User "x" cannot get path "/metrics"')
    with pytest.raises(Rejected, match="does not let us get /metrics"):
        await kube.text("/metrics")


async def test_a_rotated_token_is_waited_for_and_connections_are_shared_with_kopf(
    stub: ApiStub, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    stub.token = "first"
    access = stub.access(token_file=token)
    async with KubeClient(access) as kube, access.session() as session:
        await kube.apply(NAMESPACE)
        stub.token = "second"
        asyncio.get_running_loop().call_later(0.4, token.write_text, "second\n")
        await kube.apply(NAMESPACE)
        async with session.get(f"{stub.url}/api/v1/namespaces/n") as response:
            assert response.status == 200
        assert len(stub.peers) == 1
    assert not access.connector().closed
    await access.close()
    assert {seen.authorization for seen in stub.seen} == {"Bearer first", "Bearer second"}


async def test_a_redirect_to_another_server_is_not_followed(kube: KubeClient, stub: ApiStub) -> None:
    """It would carry our token there."""
    other = await ApiStub().start()
    other.objects["/api/v1/namespaces/n"] = NAMESPACE

    async def redirect(_: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": f"{other.url}/api/v1/namespaces/n"})

    stub.fault = redirect
    with pytest.raises(Unavailable):
        await kube.get("Namespace", "n")
    assert other.seen == []
    await other.stop()
