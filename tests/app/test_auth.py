"""Nobody comes in without the token, and nothing comes in from another site."""

import re
import stat
from pathlib import Path

import pytest
from dash import Dash
from flask.testing import FlaskClient
from itsdangerous import TimestampSigner

from support import TOKEN, Trained
from vaefrag.auth.throttle import FREE_ATTEMPTS, MOST_CLIENTS, SECONDS_EACH, SignInThrottle
from vaefrag.auth.token import find_token, make_token
from vaefrag.settings import Settings, load_settings
from vaefrag_core.errors import InvalidInputError
from webpages import app_of, post_to, text_of

PAGE = {"Accept": "text/html,application/xhtml+xml", "Sec-Fetch-Mode": "navigate"}
OPEN = {"/healthz", "/readyz", "/sign-in", "/assets/app.css", "/assets/early.js", "/assets/logo.svg"}


@pytest.fixture(scope="module")
def closed(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Dash:
    return app_of(trained.store, tmp_path_factory.mktemp("cache"), token=TOKEN)


@pytest.fixture
def client(closed: Dash) -> FlaskClient:
    return closed.server.test_client()


def sign_in(client: FlaskClient, token: str = TOKEN, **more: object) -> object:
    return client.post("/sign-in", data={"token": token, "next": "/ensemble/x?channel=1.2"}, **more)


def a_path(rule: str) -> str:
    """Return a path that a rule of the server matches."""
    return re.sub(r"<[^>]*>", "x", rule)


def test_every_route_is_closed_but_those_listed_here(closed: Dash, client: FlaskClient) -> None:
    paths = {a_path(rule.rule) for rule in closed.server.url_map.iter_rules()} | {f"/assets/{p}" for p in all_assets()}
    paths |= {"/nowhere", "/healthz/", "/sign-in/x", "//healthz", "/assets/../healthz", "/assets/icons/../app.css"}
    methods = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
    answered = {p for p in paths for m in methods if client.open(p, method=m, buffered=True).status_code != 401}
    assert answered == OPEN
    found = {path for path in paths if client.get(path, buffered=True).status_code == 200}
    assert found == OPEN - {"/readyz"}  # which answers 503 as long as no engine runs


def all_assets() -> list[str]:
    folder = Path(__file__).parents[2] / "assets"
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def test_every_callback_is_closed(closed: Dash, client: FlaskClient) -> None:
    assert len(closed.callback_map) > 4
    for name in closed.callback_map:
        body = {"output": name, "outputs": [], "inputs": [{"id": "url", "property": "pathname", "value": "/healthz"}]}
        answer = client.post("/_dash-update-component", json=body)
        assert answer.status_code == 401
        assert answer.json == {"error": "Sign in, or send the access token as `Authorization: Bearer TOKEN`."}


def test_people_are_sent_to_sign_in_and_from_there_to_the_page_they_wanted(client: FlaskClient) -> None:
    redirection = client.get("/ensemble/x?channel=1.2", headers=PAGE)
    assert (redirection.status_code, redirection.location) == (303, "/sign-in?next=/ensemble/x%3Fchannel%3D1.2")
    assert 'value="/ensemble/x?channel=1.2"' in client.get(redirection.location).text
    entered = sign_in(client)
    assert (entered.status_code, entered.location) == (303, "/ensemble/x?channel=1.2")
    assert client.get("/_dash-layout").status_code == 200
    assert client.get("/sign-in?next=/x").location == "/x"


def test_the_cookie_stays_with_this_site_and_away_from_scripts(client: FlaskClient) -> None:
    cookie = sign_in(client).headers["Set-Cookie"]
    assert cookie.startswith("vaefrag-")
    assert {"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=604800"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert "Secure" in sign_in(client, base_url="https://localhost").headers["Set-Cookie"].split("; ")
    assert TOKEN not in cookie


def test_behind_a_proxy_with_https_the_cookie_is_secure_and_its_origin_ours(trained: Trained, tmp_path: Path) -> None:
    app = app_of(trained.store, tmp_path, token=TOKEN, public_url="https://lab.example/", url_prefix="/lab/")
    headers = {"Origin": "https://lab.example", "Sec-Fetch-Site": "same-origin"}
    entered = app.server.test_client().post("/lab/sign-in", data={"token": TOKEN}, headers=headers)
    assert entered.location == "/lab/"
    assert {"Secure", "Path=/lab/"} <= set(entered.headers["Set-Cookie"].split("; "))


def test_browsers_keep_to_https_where_the_public_address_has_it(trained: Trained, tmp_path: Path) -> None:
    for address, expected in (("https://lab.example", "max-age=31536000"), ("http://lab.example", None), (None, None)):
        client = app_of(trained.store, tmp_path, token=TOKEN, public_url=address).server.test_client()
        for path in ("/healthz", "/", "/sign-in", "/nowhere"):
            assert client.get(path, buffered=True).headers.get("Strict-Transport-Security") == expected


HOSTS = ("", "[", "[::1", "]:80", "a b", "a:b:c", "x:99999999999", "ä.example", "\x7f", "//evil.example", "@x")


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_of_no_known_form_is_no_fault_of_ours(app: Dash, client: FlaskClient, host: str) -> None:
    for asked, allowed in ((app.server.test_client(), (200, 400, 403)), (client, (303, 400, 401, 403))):
        for origin in ({}, {"Origin": f"http://{host}"}, {"Referer": f"http://{host}/", "X-Forwarded-Host": host}):
            for path in ("/", "/sign-in?next=//[", "/_dash-layout"):
                status = asked.get(path, environ_overrides={"HTTP_HOST": host}, headers=PAGE | origin).status_code
                assert status in (*allowed, 200), (path, origin)


def test_signing_out_ends_the_session(client: FlaskClient) -> None:
    sign_in(client)
    client.get("/sign-out")  # a link or a picture must not sign anybody out
    assert client.get("/_dash-layout").status_code == 200
    assert client.post("/sign-out").location == "/sign-in"
    assert client.get("/_dash-layout").status_code == 401


def test_another_token_ends_every_session(client: FlaskClient, trained: Trained, tmp_path: Path) -> None:
    cookie = sign_in(client).headers["Set-Cookie"].split(";")[0].split("=", 1)[1]
    for token, expected in ((TOKEN, 200), (TOKEN + "!", 401)):
        app = app_of(trained.store, tmp_path / token[-1], token=token)
        other = app.server.test_client()
        name = sign_in(other, token).headers["Set-Cookie"].split("=", 1)[0]
        other.delete_cookie(name)
        other.set_cookie(name, cookie)
        assert other.get("/_dash-layout").status_code == expected


def test_a_session_ends_by_itself(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    born = TimestampSigner.get_timestamp(TimestampSigner(b"any"))
    sign_in(client)
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda self: born + 7 * 86_400 - 5)
    assert client.get("/_dash-layout").status_code == 200
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda self: born + 7 * 86_400 + 5)
    assert client.get("/_dash-layout").status_code == 401


@pytest.mark.parametrize("cookie", ["", "entered", "entered.aaaa.bbbb", "."])
def test_a_cookie_of_another_hand_is_nothing(closed: Dash, client: FlaskClient, cookie: str) -> None:
    name = sign_in(closed.server.test_client()).headers["Set-Cookie"].split("=", 1)[0]
    client.set_cookie(name, cookie)
    assert client.get("/_dash-layout").status_code == 401


def test_programs_show_the_token_itself(client: FlaskClient) -> None:
    assert client.get("/_dash-layout", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert "Set-Cookie" not in client.get("/_dash-layout", headers={"Authorization": f"bearer {TOKEN}"}).headers
    for wrong in (f"Bearer {TOKEN}x", "Bearer", f"Basic {TOKEN}", TOKEN):
        answer = client.get("/_dash-layout", headers={"Authorization": wrong})
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "x", ""],
)
def test_signing_in_leads_to_pages_of_this_site_only(client: FlaskClient, elsewhere: str) -> None:
    assert client.post("/sign-in", data={"token": TOKEN, "next": elsewhere}).location == "/"


def test_a_wrong_token_is_said_in_words_and_who_goes_on_has_to_wait(
    trained: Trained, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = app_of(trained.store, tmp_path, token=TOKEN).server
    client, inside = server.test_client(), server.test_client()
    sign_in(inside)
    for number in range(FREE_ATTEMPTS):
        answer = sign_in(client, f"wrong {number}")
        assert (answer.status_code, "Set-Cookie" in answer.headers) == (403, False)
        assert "This is not the token." in answer.text
    stopped = sign_in(client, "wrong again")
    assert stopped.status_code == 429
    assert "Try again in" in stopped.text
    assert 0 < int(stopped.headers["Retry-After"]) <= SECONDS_EACH
    assert client.get("/_dash-layout", headers={"Authorization": "Bearer wrong too"}).status_code == 429
    assert caplog.messages == ["A wrong token came from '127.0.0.1'."] * FREE_ATTEMPTS
    assert inside.get("/_dash-layout").status_code == 200
    neighbour = {"environ_base": {"REMOTE_ADDR": "192.0.2.7"}}
    assert sign_in(client, **neighbour).status_code == 303


def test_a_program_that_guesses_has_to_wait(trained: Trained, tmp_path: Path) -> None:
    client = app_of(trained.store, tmp_path, token=TOKEN).server.test_client()
    shown = [f"Bearer wrong {number}" for number in range(FREE_ATTEMPTS + 1)]
    codes = [client.get("/", headers={"Authorization": text}).status_code for text in shown]
    assert codes == [401] * FREE_ATTEMPTS + [429]


def test_whoever_knows_the_token_comes_in_from_an_address_that_others_guess_from(
    trained: Trained, tmp_path: Path
) -> None:
    client = app_of(trained.store, tmp_path, token=TOKEN).server.test_client()
    for number in range(3 * FREE_ATTEMPTS):
        refused = sign_in(client, f"wrong {number}")
    assert refused.status_code == 429
    assert client.get("/_dash-layout", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert sign_in(client).status_code == 303
    assert sign_in(client, "wrong again").status_code == 429


def test_a_program_with_an_old_token_locks_nobody_out(client: FlaskClient) -> None:
    for _ in range(2 * FREE_ATTEMPTS):
        assert client.get("/", headers={"Authorization": "Bearer the token of last year"}).status_code == 401
    assert sign_in(client).status_code == 303


def test_a_link_from_another_site_opens_the_page_by_way_of_ours(client: FlaskClient) -> None:
    elsewhere = PAGE | {"Sec-Fetch-Site": "cross-site"}
    redirection = client.get("/ensemble/x?channel=1.2", headers=elsewhere)
    answer = client.get(redirection.location, headers=elsewhere)
    assert (answer.headers["Refresh"], answer.text) == ("0; url=/ensemble/x?channel=1.2", "")
    there = client.get("/sign-in?next=https://evil.example", headers=elsewhere)
    assert there.headers["Refresh"] == "0; url=/"
    assert "Refresh" not in client.get(redirection.location, headers=PAGE | {"Sec-Fetch-Site": "same-origin"}).headers


def test_what_is_private_stays_in_no_cache_and_refusals_are_as_strict_as_pages(client: FlaskClient) -> None:
    for path in ("/", "/sign-in", "/_dash-layout", "/_dash-dependencies", "/data/nothing"):
        for _ in ("outside", "inside"):
            headers = client.get(path, headers=PAGE).headers
            assert headers["Cache-Control"] == "no-store"
            assert "default-src 'none'" in headers["Content-Security-Policy"]
            sign_in(client)
        client.post("/sign-out")


def test_what_a_proxy_says_of_the_client_counts_only_when_asked_for(trained: Trained, tmp_path: Path) -> None:
    for proxies, expected in ((0, 429), (1, 403)):
        app = app_of(trained.store, tmp_path / str(proxies), token=TOKEN, proxies=proxies)
        client = app.server.test_client()
        answers = [
            sign_in(client, f"wrong {n}", headers={"X-Forwarded-For": f"192.0.2.{n}"}) for n in range(FREE_ATTEMPTS + 1)
        ]
        assert answers[-1].status_code == expected


def test_attempts_come_back_with_time_and_take_bounded_space() -> None:
    now = 0.0
    attempts = SignInThrottle(lambda: now)
    for number in range(FREE_ATTEMPTS):
        assert attempts.seconds_to_wait("2001:db8::1") == 0
        attempts.record_failure("2001:db8::1", f"wrong {number}")
    assert (
        attempts.seconds_to_wait("2001:db8::ffff") == SECONDS_EACH
    )  # a neighbour in the same network is the same client
    assert attempts.seconds_to_wait("2001:db8:1::1") == 0
    now += SECONDS_EACH
    assert attempts.seconds_to_wait("2001:db8::1") == 0
    for number in range(2 * MOST_CLIENTS):
        attempts.record_failure(f"client {number}", "wrong")
    assert len(attempts) == MOST_CLIENTS


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost:1234", "null"])
@pytest.mark.parametrize("which", ["app", "closed"])
def test_another_origin_is_refused_with_and_without_a_token(
    request: pytest.FixtureRequest, which: str, origin: str
) -> None:
    client = request.getfixturevalue(which).server.test_client()
    for path in ("/sign-in", "/_dash-update-component", "/sign-out"):
        answer = client.post(path, headers={"Origin": origin, "Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 403
        assert "VAEFRAG_PUBLIC_URL" in answer.json["error"]
    assert client.get("/_dash-layout", headers={"Origin": origin}).status_code == 403
    assert client.get("/healthz", headers={"Origin": "http://localhost"}).status_code == 200


@pytest.mark.parametrize("which", ["app", "closed"])
def test_what_another_site_makes_a_browser_change_is_refused(request: pytest.FixtureRequest, which: str) -> None:
    client = request.getfixturevalue(which).server.test_client()
    for site, expected in (("cross-site", 403), ("same-site", 403), ("same-origin", 415)):
        headers = {"Sec-Fetch-Site": site, "Authorization": f"Bearer {TOKEN}"}
        assert client.post("/_dash-update-component", headers=headers).status_code == expected
    assert client.get("/healthz", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200  # a link from elsewhere


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost:8050", 200),
        ("127.0.0.1", 200),
        ("127.8.8.8:1", 200),
        ("[::1]:8050", 200),
        ("lab.example", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example:8050", 403),
        ("localhost.evil.example", 403),
        ("192.0.2.1", 403),
        ("[::1", 403),
    ],
)
def test_without_a_token_a_name_from_elsewhere_does_not_lead_here(
    trained: Trained, tmp_path: Path, host: str, expected: int
) -> None:
    app = app_of(trained.store, tmp_path, public_url="https://lab.example")
    for path in ("/", "/healthz", "/_dash-layout"):
        assert app.server.test_client().get(path, headers={"Host": host}).status_code == expected


def test_without_a_token_pages_are_for_this_machine(trained: Trained, tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "lab.example"):
        with pytest.raises(InvalidInputError, match=r"Whoever reaches .*--new-token. makes one; or set VAEFRAG_TOKEN"):
            app_of(trained.store, tmp_path, host=host)
    for host in ("localhost", "127.0.0.1", "::1", "127.1.2.3"):
        assert app_of(trained.store, tmp_path, host=host).server.test_client().get("/").status_code == 200
    assert app_of(trained.store, tmp_path, host="0.0.0.0", token=TOKEN).server.test_client().get("/").status_code == 401


@pytest.mark.parametrize("token", ["", "short", "  nineteen characters  "])
def test_a_short_token_is_refused_without_showing_it(token: str) -> None:
    with pytest.raises(InvalidInputError, match=r"from VAEFRAG_TOKEN has \d+ characters; it needs 20") as caught:
        find_token(Settings(token=token))
    assert not token.strip() or token.strip() not in str(caught.value)
    assert TOKEN not in repr(Settings(token=TOKEN))


def test_a_token_is_found_where_it_was_put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text(f"{TOKEN}\n")
    settings = Settings(workspace=tmp_path / "workspace")
    assert find_token(settings) is None
    token, path = make_token(settings)
    assert (find_token(settings), stat.S_IMODE(path.stat().st_mode)) == (token, 0o600)
    assert len(token) >= 40
    assert make_token(settings)[0] != token
    assert [entry.name for entry in path.parent.iterdir()] == ["token"]
    monkeypatch.setenv("VAEFRAG_TOKEN_FILE", str(tmp_path / "secret"))
    assert find_token(load_settings(workspace=settings.workspace)) == TOKEN
    monkeypatch.setenv("VAEFRAG_TOKEN", TOKEN + "!")
    assert find_token(load_settings()) == TOKEN + "!"
    with pytest.raises(InvalidInputError, match="set by VAEFRAG_TOKEN, which wins"):
        make_token(load_settings(workspace=settings.workspace))


def test_a_file_without_a_token_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"read from .*nowhere, which cannot be read"):
        find_token(Settings(token_file=tmp_path / "nowhere"))
    (tmp_path / "empty").touch()
    with pytest.raises(InvalidInputError, match=r"from .*empty has 0 characters"):
        find_token(Settings(token_file=tmp_path / "empty"))


@pytest.mark.parametrize("address", ["lab.example", "ftp://lab.example", "https://", "https://a b"])
def test_a_public_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(InvalidInputError, match=r"public url \(.*\): expected an address such as"):
        load_settings(public_url=address)


def test_callbacks_answer_who_has_signed_in(client: FlaskClient, closed: Dash) -> None:
    assert post_to(closed, "page.children", {"url.pathname": "/"}, {"url.search": ""}) == 401
    sign_in(client)
    shown = post_to(closed, "page.children", {"url.pathname": "/"}, {"url.search": ""}, client=client)
    assert "Six members on digits" in text_of(shown["page"]["children"])
