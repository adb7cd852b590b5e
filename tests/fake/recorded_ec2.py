"""moto with the three calls of EC2 that it does not know, answered from a table: recorded responses, not a simulation of AWS.

moto answers 500 to DescribeVpcEndpointConnections, Accept- and RejectVpcEndpointConnections, and deletes an endpoint service whose
endpoints are connected. Those answers are written down here in the XML of the API's reference (2016-11-15), which is also what
botocore parses; none was taken from an account. Everything else goes to moto unchanged.
"""

import http.client
import threading
import urllib.parse
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"
OPEN = ("pendingAcceptance", "available")


@dataclass
class Endpoint:
    """One endpoint of a consumer, as EC2 tells its service's owner of it."""

    service: str
    id: str
    owner: str
    state: str = "pendingAcceptance"


@dataclass
class RecordedEc2:
    """A server in front of moto at `upstream`. `denied`: actions that it answers with UnauthorizedOperation, as IAM would."""

    upstream: str
    endpoints: list[Endpoint] = field(default_factory=list)
    denied: set[str] = field(default_factory=set)
    down: bool = False
    """Answers every call with 503."""

    def __enter__(self) -> "RecordedEc2":
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, kind, answer = outer.answer(self.path, dict(self.headers), body)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
        asked = urllib.parse.parse_qs(body.decode(errors="replace"))
        action = (asked.get("Action") or [""])[0]
        if self.down:
            return _xml(503, _error("Unavailable", "The service is unavailable."))
        if action in self.denied:
            return _xml(403, _error("UnauthorizedOperation", "You are not authorized to perform this operation."))
        service = (asked.get("ServiceId") or asked.get("ServiceId.1") or asked.get("Filter.1.Value.1") or [""])[0]
        ids = [value for key, values in asked.items() if key.startswith("VpcEndpointId") for value in values]
        match action:
            case "DescribeVpcEndpointConnections":
                items = "".join(_item(e) for e in self.endpoints if e.service == service)
                return _xml(200, _response(action, f"<vpcEndpointConnectionSet>{items}</vpcEndpointConnectionSet>"))
            case "AcceptVpcEndpointConnections":
                return self._move(action, service, ids, before=OPEN[:1], after="available")
            case "RejectVpcEndpointConnections":
                return self._move(action, service, ids, before=OPEN, after="rejected")
            case "DeleteVpcEndpointServiceConfigurations":
                if any(e.service == service and e.state in OPEN for e in self.endpoints):
                    text = "Service has existing active VPC Endpoint connections!"
                    failed = _failures([(service, "ExistingVpcEndpointConnections", text)])
                    return _xml(200, _response(action, failed))
        return self._forward(path, headers, body)

    def _move(
        self, action: str, service: str, ids: list[str], *, before: tuple[str, ...], after: str
    ) -> tuple[int, str, bytes]:
        failed = []
        for id in ids:
            found = next((e for e in self.endpoints if (e.service, e.id) == (service, id)), None)
            if found is None:
                failed.append((id, "InvalidVpcEndpoint.NotFound", f"The Vpc Endpoint Id '{id}' does not exist"))
            elif found.state not in before:
                failed.append((id, "InvalidState", f"The endpoint is {found.state}"))
            else:
                found.state = after
        return _xml(200, _response(action, _failures(failed)))

    def _forward(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
        where = urllib.parse.urlsplit(self.upstream)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)
        try:
            kept = {name: value for name, value in headers.items() if name.lower() not in ("connection", "host")}
            connection.request("POST", path, body, {**kept, "Host": where.netloc})
            response = connection.getresponse()
            return response.status, response.headers.get("Content-Type") or "text/xml", response.read()
        finally:
            connection.close()


def _xml(status: int, text: str) -> tuple[int, str, bytes]:
    return status, "text/xml;charset=UTF-8", f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()


def _response(action: str, inside: str) -> str:
    request = "<requestId>59dbff89-35bd-4eac-99ed-be587EXAMPLE</requestId>"
    return f'<{action}Response xmlns="{NAMESPACE}">{request}{inside}</{action}Response>'


def _item(endpoint: Endpoint) -> str:
    return (
        f"<item><serviceId>{endpoint.service}</serviceId><vpcEndpointId>{endpoint.id}</vpcEndpointId>"
        f"<vpcEndpointOwner>{endpoint.owner}</vpcEndpointOwner><vpcEndpointState>{endpoint.state}</vpcEndpointState>"
        "<creationTimestamp>2026-11-24T10:00:00.000Z</creationTimestamp></item>"
    )


def _failures(failed: list[tuple[str, str, str]]) -> str:
    items = "".join(
        f"<item><resourceId>{resource}</resourceId><error><code>{code}</code><message>{escape(text)}</message></error></item>"
        for resource, code, text in failed
    )
    return f"<unsuccessful>{items}</unsuccessful>"


def _error(code: str, text: str) -> str:
    inside = f"<Code>{code}</Code><Message>{text}</Message>"
    return f"<Response><Errors><Error>{inside}</Error></Errors><RequestID>59dbff89-EXAMPLE</RequestID></Response>"
