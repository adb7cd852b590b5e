"""The operator's own HTTP ports: liveness, readiness and metrics."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import generate_latest

from zilliz_operator.handlers import metrics

Check = Callable[[], str]
"""Empty when all is well, else what is wrong."""


async def serve(*, port: int, metrics_port: int, alive: Check, ready: Check) -> web.AppRunner:
    """Listen on both ports until the runner is cleaned up. Started before Kopf, which ends tasks younger than itself."""

    def answer(check: Check) -> Callable[[web.Request], "object"]:
        async def handle(_: web.Request) -> web.Response:
            wrong = check()
            return web.Response(status=503 if wrong else 200, text=(wrong or "ok") + "\n")

        return handle

    async def exposition(_: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(metrics.REGISTRY), headers={"Content-Type": "text/plain; version=0.0.4"}
        )

    application = web.Application()
    application.router.add_get("/healthz", answer(alive))  # type: ignore[arg-type]
    application.router.add_get("/readyz", answer(ready))  # type: ignore[arg-type]
    application.router.add_get("/metrics", exposition)
    runner = web.AppRunner(application, access_log=None, handle_signals=False)
    await runner.setup()
    for each in sorted({port, metrics_port}):
        await web.TCPSite(runner, "0.0.0.0", each, reuse_address=True).start()  # noqa: S104 - a pod's ports
    return runner
