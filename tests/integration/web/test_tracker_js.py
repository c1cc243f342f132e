"""`interactions/web/tracker.js` in a real Chromium, against a real ingest service."""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Browser, Page, needed_chromium
from tests.embedded_ingest import EmbeddedIngest, first_copies, ids
from tests.http import call_now
from tests.polling import wait_for
from tests.system import ROOT
from tests.tokens import Issuer

BOUND_S = 20.0
# Nothing is sent by itself in the time of a test.
PATIENT = {"flushIntervalMs": 3_600_000, "flushEvents": 1_000_000}
QUICK = {"flushIntervalMs": 50}

HELPERS = """
globalThis.rejected = [];
globalThis.make = async (options, at = "") => {
  const { Tracker } = await import(at + "/tracker.js");
  globalThis.tracker = new Tracker({ onRejected: (told) => rejected.push(told), ...options });
};
globalThis.track = (count, more) => Array.from({ length: count }, (_, n) =>
  tracker.track({ userId: "u1", videoId: `v${n}`, interactionType: "VIEW", watchTime: n, ...more }));
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all."""
    with Browser(needed_chromium(), tmp_path_factory.mktemp("browser") / "profile") as found:
        yield found


@pytest.fixture(scope="module")
def ingest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedIngest]:
    """One service for all."""
    process = EmbeddedIngest(tmp_path_factory.mktemp("ingest"))
    process.start()
    yield process
    process.stop()


@pytest.fixture
def site(browser: Browser, ingest: EmbeddedIngest) -> Iterator["Site"]:
    """A test's own share of both; its pages are closed with the test."""
    found = Site(browser, ingest)
    yield found
    for page in found.opened:
        page.close()


class Site:
    """Pages of the service's own origin, with an outbox of their own: what it serves as JSON is a page, too."""

    def __init__(self, browser: Browser, ingest: EmbeddedIngest) -> None:
        self._browser = browser
        self._ingest = ingest
        self._stored_before = len(ingest.stored())
        self._calls_before = ingest.calls()
        self.outbox = f"test-{self._stored_before}-{self._calls_before:.0f}"
        self.opened: list[Page] = []

    def open(self, options: dict[str, Any] | None = None, *, host: str = "127.0.0.1", at: str = "") -> Page:
        """Opens a page with a tracker."""
        page = self._browser.open(f"http://{host}:{self._ingest.http_port}/healthz")
        self.opened.append(page)
        page.run(HELPERS)
        page.run(f"make({json.dumps({'name': self.outbox} | (options or {}))}, {json.dumps(at)})")
        return page

    def close(self, page: Page) -> None:
        """Closes a page before the end of the test."""
        self.opened.remove(page)
        page.close()

    def stored(self) -> list[dict[str, Any]]:
        """Returns what came into the log, copies included."""
        return self._ingest.stored()[self._stored_before :]

    def calls(self) -> float:
        """Returns how many calls came."""
        return self._ingest.calls() - self._calls_before

    def wait_for_calls(self, count: int) -> None:
        """Waits for calls, beacons among them."""
        wait_for(self.calls, lambda calls: calls >= count, BOUND_S)


def flush(page: Page) -> bool:
    return bool(page.run("tracker.flush()"))


def waiting(page: Page) -> int:
    return int(page.run("tracker.waiting"))


def wait_until_sent(page: Page) -> None:
    wait_for(lambda: waiting(page), lambda count: count == 0, BOUND_S)


def test_the_module_is_small_and_is_served_to_pages_of_any_origin(ingest: EmbeddedIngest) -> None:
    """Brief: < 6 kB."""
    answer = call_now(ingest.http_port, "GET", "/tracker.js")

    assert answer.status == 200
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=3600"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.text == (ROOT / "interactions" / "web" / "tracker.js").read_text()
    assert len(answer.text.encode()) < 6_000

    known = call_now(ingest.http_port, "GET", "/tracker.js", headers={"if-none-match": answer.headers["etag"]})
    assert (known.status, known.text) == (304, "")


def test_where_users_are_asked_who_they_are_each_tells_his_own(browser: Browser, tmp_path: Path) -> None:
    """Another user's events, left in the same browser, are rejected one by one; they hold nobody up."""
    issuer = Issuer(tmp_path / "jwks.json")
    ingest = EmbeddedIngest(tmp_path, issuer.environ)
    ingest.start()
    site = Site(browser, ingest)
    page = site.open(PATIENT)
    page.run("track(1)")
    assert not flush(page)
    assert site.stored() == []
    page.run(f"globalThis.ready = Promise.resolve({{ authorization: 'Bearer {issuer.token('u1')}' }})")
    page.run(f"tracker.close(), make({{ name: {json.dumps(site.outbox)}, headers: () => ready }})")
    page.run("track(1, { userId: 'u2' }), track(2)")
    assert flush(page)
    assert [each["userId"] for each in site.stored()] == ["u1"] * 3
    assert page.run("rejected.map(({ event }) => event.userId)") == ["u2"]
    page.close()
    ingest.stop()


def test_twenty_events_are_one_call(site: Site) -> None:
    page = site.open({"flushIntervalMs": 3_600_000})
    tracked = [*page.run("track(19)"), *page.run("track(1)")]
    wait_until_sent(page)

    events = site.stored()
    assert (ids(events), site.calls()) == (tracked, 1)
    assert [each["watchTime"] for each in events] == [*range(19), 0]
    page.run("track(19)")
    assert (waiting(page), site.calls()) == (19, 1)
    assert flush(page)


def test_fewer_are_sent_after_the_interval(site: Site) -> None:
    page = site.open(QUICK)
    tracked = page.run("track(3)")
    wait_until_sent(page)
    assert ids(site.stored()) == tracked


def test_a_rejected_event_is_told_and_dropped_and_the_others_are_kept(site: Site) -> None:
    page = site.open(PATIENT)
    good = page.run("track(2)")
    (bad,) = page.run('track(1, { userId: "" })')
    assert flush(page)

    assert ids(site.stored()) == good
    (told,) = page.run("rejected")
    assert (told["event"]["eventId"], told["field"], bool(told["reason"])) == (bad, "userId", True)


def test_an_event_that_makes_the_call_unreadable_is_found(site: Site) -> None:
    """A body that the service refuses as a whole holds up nobody but the event that is to blame."""
    page = site.open(PATIENT)
    good = page.run("track(5)")
    page.run(f"localStorage.setItem('{site.outbox}:0000000000000.000000:broken', '{{')")
    # The event is no JSON, so it cannot even be told.
    page.run("tracker.flush().catch(() => {})")
    wait_for(lambda: ids(site.stored()), lambda found: found == good, BOUND_S)


def test_a_closed_tab_loses_nothing(site: Site) -> None:
    """The beacon brings the events; the next page sends them again, because a beacon has no answer; they count once."""
    page = site.open(PATIENT)
    tracked = page.run("track(5)")
    site.close(page)
    site.wait_for_calls(1)
    assert ids(site.stored()) == tracked

    again = site.open(PATIENT)
    site.wait_for_calls(2)
    wait_until_sent(again)
    assert ids(first_copies(site.stored())) == tracked


def test_a_page_that_is_left_sends_a_beacon(site: Site) -> None:
    page = site.open(PATIENT)
    tracked = page.run("track(3)")
    page.go("about:blank")
    site.wait_for_calls(1)
    assert ids(site.stored()) == tracked


def test_a_tab_behind_another_sends_a_beacon_and_goes_on(site: Site) -> None:
    page = site.open(PATIENT)
    page.show()
    tracked = page.run("track(3)")
    other = site.open(PATIENT, host="localhost")  # another origin: it does not know of these events
    other.show()
    wait_for(lambda: page.run("document.visibilityState"), lambda state: state == "hidden", BOUND_S)
    site.wait_for_calls(1)

    page.show()
    tracked += page.run("track(2)")
    assert flush(page)
    assert ids(first_copies(site.stored())) == tracked


def test_a_service_that_is_killed_and_comes_back_gets_everything_once_in_effect(
    site: Site, ingest: EmbeddedIngest
) -> None:
    page = site.open(QUICK)
    tracked = page.run("track(30)")
    wait_until_sent(page)
    ingest.kill()
    tracked += page.run("track(150)")
    wait_for(lambda: page.run("performance.getEntriesByType('resource').length"), lambda made: made >= 3, BOUND_S)
    assert waiting(page) == 150
    ingest.start()
    wait_until_sent(page)

    assert ids(first_copies(site.stored())) == tracked
    assert page.run("rejected") == []


def test_tabs_share_one_outbox_and_send_one_at_a_time(site: Site) -> None:
    """Two that send at once would send the same; the service would not notice, but the network would."""
    tabs = [site.open(QUICK), site.open(QUICK)]
    for tab in tabs:  # so slow that both would be sending
        tab.run("""
            const real = fetch;
            globalThis.calls = [];
            globalThis.fetch = async (...all) => {
              const start = Date.now();
              await new Promise((resolve) => setTimeout(resolve, 200));
              return real(...all).finally(() => calls.push([start, Date.now()]));
            };
        """)
    tracked = [event_id for _ in range(5) for tab in tabs for event_id in tab.run("track(15)")]
    for tab in tabs:
        wait_until_sent(tab)

    assert sorted(ids(site.stored())) == sorted(tracked)
    calls = sorted((start, end) for tab in tabs for start, end in tab.run("calls"))
    assert len(calls) > 1
    assert all(end <= start for (_, end), (start, _) in pairwise(calls))


def test_what_a_tab_left_is_sent_by_another_that_is_open(site: Site) -> None:
    stays, leaves = site.open(PATIENT), site.open(PATIENT)
    tracked = leaves.run("track(4)")
    site.close(leaves)
    # Another process of the browser, which hears of it a moment later.
    wait_for(lambda: waiting(stays), lambda count: count == 4, BOUND_S)
    assert flush(stays)
    assert ids(first_copies(site.stored())) == tracked


def test_a_full_outbox_keeps_the_older_events(site: Site) -> None:
    page = site.open(PATIENT | {"maxWaiting": 3})
    tracked = page.run("track(4)")
    told = page.run("rejected")
    assert [(each["event"]["eventId"], each["reason"]) for each in told] == [(tracked[3], "3 events wait")]
    assert flush(page)
    assert ids(site.stored()) == tracked[:3]


def test_without_storage_events_are_kept_in_memory(site: Site) -> None:
    page = site.open(PATIENT)
    page.run("Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); }")
    tracked = page.run("track(3)")
    assert page.run("Object.keys(localStorage).filter((key) => key.startsWith('" + site.outbox + "'))") == []
    assert flush(page)
    assert ids(site.stored()) == tracked


def test_without_a_secure_page_ids_are_uuids_all_the_same(site: Site) -> None:
    """`crypto.randomUUID` and `navigator.locks` are for secure pages only."""
    page = site.open(PATIENT)
    page.run("delete Crypto.prototype.randomUUID; delete Navigator.prototype.locks")
    assert page.run("[typeof crypto.randomUUID, typeof navigator.locks]") == ["undefined", "undefined"]
    tracked = page.run("track(50)")
    assert flush(page)
    assert ids(site.stored()) == tracked  # the service takes UUIDs only
    assert page.run("rejected") == []


def test_pages_of_another_origin_are_served_when_the_service_names_it(
    site: Site, ingest: EmbeddedIngest, tmp_path: Path
) -> None:
    """`localhost` and `127.0.0.1` are two origins. A beacon asks no leave, so it arrives either way."""
    there = EmbeddedIngest(tmp_path / "there", cors_origins=f"http://localhost:{ingest.http_port}")
    (tmp_path / "there").mkdir()
    there.start()
    try:
        page = site.open(PATIENT, host="localhost", at=there.url)
        tracked = page.run("track(3)")
        assert flush(page)
        tracked += page.run("track(2)")
        site.close(page)
        wait_for(there.calls, lambda calls: calls >= 2, BOUND_S)
        assert ids(there.stored()) == tracked
        assert site.stored() == []
    finally:
        there.stop()


def test_a_hint_of_the_service_is_kept(site: Site) -> None:
    """Retry-After, in seconds; the first answer is made by the page, the second is the service's own."""
    page = site.open(QUICK)
    page.run("""
        const real = fetch;
        const full = () => new Response('{"reason":"LOG_FULL"}', { status: 429, headers: { "retry-after": "1" } });
        globalThis.called = [];
        globalThis.fetch = async (...all) => (called.push(performance.now()) === 1 ? full() : real(...all));
    """)
    tracked = page.run("track(2)")
    wait_until_sent(page)
    first, second = page.run("called")
    assert second - first >= 1_000
    assert ids(site.stored()) == tracked
