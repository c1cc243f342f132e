"""What every page has in common: who may post, what browsers may load, and how errors look."""

import re

import pytest

from runtime.process import Service
from tests.http import Answer, call
from tests.integration.insights.page.conftest import Start
from trainer.adapters.bundle_store import BundleStore

BROWSER = {"accept": "text/html,application/xhtml+xml"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
pytestmark = ON_SQLITE


@pytest.fixture
async def site(start: Start, store: BundleStore) -> Service:
    del store  # its folder is what counts
    return await start()


async def get(site: Service, path: str, **headers: str) -> Answer:
    return await call(site.http_port, "GET", path, headers=headers or BROWSER)


@pytest.mark.parametrize("path", ["/", "/models", "/models/m1/serve", "/nowhere", "/models/m9/serve"])
async def test_a_page_may_load_nothing_but_our_own_files(site: Service, path: str):
    answer = await get(site, path)
    policy = dict(each.split(" ", 1) for each in answer.headers["content-security-policy"].split("; "))
    assert policy == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not re.findall(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\bsrc=)", answer.text)
    assert all(url.startswith(("/", "#")) for url in re.findall(r'(?:href|src|action)="([^"]*)"', answer.text))


async def test_what_a_page_loads_is_there_and_kept_for_good(site: Service):
    page = (await get(site, "/")).text
    urls = re.findall(r'"(/assets/[^"]+)"', page)
    answers = [await get(site, url) for url in urls]
    assert len(urls) == 6
    assert [each.status for each in answers] == [200] * 6
    assert {each.headers["cache-control"] for each in answers} == {"public, max-age=31536000, immutable"}


async def test_a_file_of_another_release_is_not_taken_for_this_ones(site: Service):
    assert (await get(site, "/assets/000000000000/insights.css")).status == 404


@pytest.mark.parametrize(
    ("path", "headers", "kind"),
    [
        ("/nowhere", BROWSER, "text/html; charset=utf-8"),
        ("/nowhere", {"accept": "*/*"}, "application/problem+json"),
        ("/feed/nowhere", BROWSER, "application/problem+json"),
        ("/models/m9/serve", BROWSER, "text/html; charset=utf-8"),
    ],
)
async def test_what_is_not_there_is_a_page_for_browsers_and_a_problem_for_others(
    site: Service, path: str, headers: dict[str, str], kind: str
):
    answer = await call(site.http_port, "GET", path, headers=headers)
    assert (answer.status, answer.headers["content-type"]) == (404, kind)


async def test_the_api_and_the_process_keep_their_paths(site: Service):
    wrong = await get(site, "/feed/outcomes")
    statuses = [(await get(site, path)).status for path in ("/healthz", "/readyz", "/metrics", "/openapi.json")]
    assert (wrong.status, wrong.headers["content-type"]) == (405, "application/problem+json")
    assert statuses == [200] * 4


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"sec-fetch-site": "same-origin"}, 303, id="ours"),
        pytest.param({"sec-fetch-site": "same-site"}, 403, id="a-neighbour"),
        pytest.param({"sec-fetch-site": "cross-site"}, 403, id="another-site"),
        pytest.param({"sec-fetch-site": "none"}, 403, id="typed"),
        pytest.param({"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1:{port}"}, 403, id="both"),
        pytest.param({"origin": "http://127.0.0.1:{port}"}, 303, id="our-origin"),
        pytest.param({"origin": "http://127.0.0.1.evil.test:{port}"}, 403, id="another-origin"),
        pytest.param({"origin": "null"}, 403, id="a-sandbox"),
        pytest.param({}, 403, id="neither"),
    ],
)
async def test_only_a_page_of_ours_may_post(site: Service, store: BundleStore, headers: dict[str, str], status: int):
    told = {name: value.format(port=site.http_port) for name, value in headers.items()}
    answer = await call(site.http_port, "POST", "/models/m3/serve", b"instead_of=m2&adminId=ann", {**FORM, **told})
    assert (answer.status, store.live()) == (status, "m3" if status == 303 else "m2")


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"instead_of=m2", "application/json", 415),
        (b"a=1&" * 101, FORM["content-type"], 400),
        (b"\xff=1", FORM["content-type"], 400),
        (b"a=" + b"x" * 70_000, FORM["content-type"], 413),
    ],
)
async def test_what_is_no_form_is_refused(site: Service, store: BundleStore, body: bytes, kind: str, status: int):
    headers = {"content-type": kind, "sec-fetch-site": "same-origin"}
    answer = await call(site.http_port, "POST", "/models/m3/serve", body, headers)
    assert (answer.status, answer.headers["content-type"], store.live()) == (status, "text/html; charset=utf-8", "m2")
