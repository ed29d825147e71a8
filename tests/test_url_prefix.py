"""Pages under a path of a site, by a real server: as they are, and behind a proxy that strips the path."""

import http.client
import json
import re
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.cookiejar import CookieJar
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode, urljoin, urlsplit

import pytest

from support import TOKEN, Trained
from test_cli import served

PAGE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}


class StrippingProxy(BaseHTTPRequestHandler):
    """Passes on what is asked of /lab/…, without /lab, as nginx does for `proxy_pass http://host/;`."""

    upstream = ""

    def do_GET(self) -> None:
        if not self.path.startswith("/lab/"):
            self.send_error(404, "not of this proxy")
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        connection = http.client.HTTPConnection(self.upstream, timeout=20)
        connection.request(self.command, self.path.removeprefix("/lab"), body, dict(self.headers.items()))
        answer = connection.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "date", "server"):
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@contextmanager
def stripping_proxy(upstream: str) -> Iterator[str]:
    """Run a proxy in front of a host, and yield the address of /lab/ on it."""
    handler = type("Handler", (StrippingProxy,), {"upstream": upstream})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/lab/"
    server.shutdown()
    server.server_close()


class Visitor:
    """Asks as a browser does: with cookies, and following redirects."""

    def __init__(self) -> None:
        self.cookies = CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def ask(self, url: str, data: bytes | None = None, **headers: str) -> tuple[str, bytes]:
        """Return where a URL led, which has to be there, and the content."""
        request = urllib.request.Request(url, data, {name.replace("_", "-"): value for name, value in headers.items()})
        with self._opener.open(request, timeout=20) as answer:
            return answer.url, answer.read()


@pytest.fixture(scope="module", params=["as it is", "stripped"])
def site(request: pytest.FixtureRequest, trained: Trained) -> Iterator[str]:
    """Serve the small real ensemble under /lab/, behind a token, and yield the address by which people reach it."""
    environment = {"VAEFRAG_URL_PREFIX": "/lab/", "VAEFRAG_TOKEN": TOKEN}
    with served(trained.store.workspace, "--no-engine", **environment) as (_, url):
        if request.param == "as it is":
            yield url
        else:
            with stripping_proxy(urlsplit(url).netloc) as address:
                yield address


@pytest.fixture
def visitor(site: str) -> Visitor:
    """Sign in as a person does, who came by the address of the site."""
    visitor = Visitor()
    place, page = visitor.ask(site, **PAGE)
    assert place == f"{site}sign-in?next=/lab/"
    for address in re.findall(r'(?:src|href)="([^"]+)"', page.decode()):
        assert visitor.ask(urljoin(site, address))[1]
    (action,) = re.findall(r'action="([^"]+)"', page.decode())
    place, page = visitor.ask(urljoin(site, action), urlencode({"token": TOKEN, "next": "/lab/"}).encode())
    assert (place, b"_dash-config" in page) == (site, True)
    return visitor


def test_the_address_that_is_printed_opens_the_page(trained: Trained) -> None:
    with served(trained.store.workspace, "--no-engine", VAEFRAG_URL_PREFIX="/lab/") as (_, url):
        assert urlsplit(url).path == "/lab/"
        place, page = Visitor().ask(url)
    assert (place, b"_dash-config" in page) == (url, True)


def test_pages_and_all_they_fetch_are_there_whether_the_path_is_stripped_or_not(
    site: str, visitor: Visitor, trained: Trained
) -> None:
    shell = visitor.ask(f"{site}ensemble/{trained.id}?measure=vi", **PAGE)[1].decode()
    addresses = re.findall(r'(?:src|href)="([^"]+)"', shell)
    assert len(addresses) > 10
    assert all(address.startswith("/lab/") for address in addresses)
    for address in addresses:
        assert visitor.ask(urljoin(site, address))[1]
    assert json.loads(visitor.ask(f"{site}healthz")[1])["web"] is True
    assert visitor.ask(f"{site}data/matrix/{trained.id}/nmi/tile.png")[1].startswith(b"\x89PNG")
    assert b"MantineProvider" in visitor.ask(f"{site}_dash-layout")[1]


def test_callbacks_answer_with_addresses_that_lead_back(site: str, visitor: Visitor, trained: Trained) -> None:
    callbacks = json.loads(visitor.ask(f"{site}_dash-dependencies")[1])
    router = next(callback for callback in callbacks if "page.children" in callback["output"])
    names = [name.rsplit(".", 1) for name in router["output"].strip(".").split("...")]
    body = {
        "output": router["output"],
        "outputs": [{"id": name, "property": attribute} for name, attribute in names],
        "inputs": [item | {"value": "/lab/"} for item in router["inputs"]],
        "state": [item | {"value": ""} for item in router["state"]],
        "changedPropIds": ["url.pathname"],
    }
    headers = {"Content_Type": "application/json", "Origin": site.removesuffix("/lab/")}
    answer = visitor.ask(f"{site}_dash-update-component", json.dumps(body).encode(), **headers)[1]
    update = json.dumps(json.loads(answer))  # in it, slashes are slashes
    assert trained.spec.name in update
    addresses = re.findall(r'"(?:href|src)":\s*"([^"]*)"', update)
    assert any(address.startswith(f"/lab/ensemble/{trained.id}") for address in addresses)
    assert all(address.startswith("/lab/") for address in addresses)


def test_the_session_belongs_to_the_path_and_ends_there(site: str, visitor: Visitor) -> None:
    assert [cookie.path for cookie in visitor.cookies] == ["/lab/"]
    assert visitor.ask(f"{site}sign-out", b"")[0] == f"{site}sign-in"
    with pytest.raises(urllib.error.HTTPError, match="401"):
        visitor.ask(f"{site}_dash-layout")
    assert list(visitor.cookies) == []


def test_without_the_token_a_stripped_path_opens_nothing_else(site: str) -> None:
    root = urljoin(site, "/")
    for address in ("_dash-layout", "assets/jobs.css", "lab/_dash-layout", "x", "%2e%2e/healthz", "/_dash-layout"):
        with pytest.raises(urllib.error.HTTPError, match=r"401|404"):
            Visitor().ask(site + address)
    for address in ("_dash-layout", "//_dash-layout", "lab", "data/matrix/x/nmi/tile.png"):
        with pytest.raises(urllib.error.HTTPError, match=r"401|404"):
            Visitor().ask(root + address)


def test_the_path_without_its_slash_is_the_same_page(trained: Trained, tmp_path: Path) -> None:
    with served(trained.store.workspace, "--no-engine", VAEFRAG_URL_PREFIX="/lab/") as (_, url):
        assert b"_dash-config" in Visitor().ask(url.removesuffix("/"))[1]


HOP_HEADERS = {
    "SCRIPT_NAME": "/elsewhere",
    "Script-Name": "/elsewhere",
    "PATH_INFO": "/elsewhere",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Ssl": "on",
    "X-Forwarded-Protocol": "ssl",
    "X-Forwarded-Prefix": "/elsewhere",
    "X-Forwarded-Host": "evil.example",
    "Forwarded": "for=192.0.2.1;proto=https;host=evil.example",
    "X-Script-Name": "/elsewhere",
    "X-Original-URL": "/elsewhere",
    "Remote-User": "root",
    "REMOTE_ADDR": "192.0.2.1",
    "wsgi.url_scheme": "https",
}


def test_headers_that_servers_and_proxies_read_change_nothing(trained: Trained) -> None:
    with served(trained.store.workspace, "--no-engine", VAEFRAG_TOKEN=TOKEN) as (_, url):

        def answer(headers: dict[str, str]) -> tuple[int, str, str]:
            body = urlencode({"token": TOKEN, "next": "/"})
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)) as connection:
                connection.request("POST", "/sign-in", body, form | headers)
                response = connection.getresponse()
                cookie = response.getheader("Set-Cookie", "").partition(";")[2]
                return response.status, response.getheader("Location", ""), re.sub(r"Expires=[^;]*", "", cookie)

        plain = answer({})
        assert plain[:2] == (303, "/")
        together = [{"X-Forwarded-Proto": "https", "X-Forwarded-Ssl": "off"}]
        for headers in [*({name: value} for name, value in HOP_HEADERS.items()), *together]:
            assert answer(headers) == plain, headers
