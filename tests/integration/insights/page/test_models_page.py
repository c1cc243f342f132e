"""The models: the register as it is, and another one comes to serve only after a second question."""

import html
from pathlib import Path

import pytest

from runtime.candidate_file import Candidate, Mode
from runtime.process import Service
from tests.http import Answer, call
from tests.integration.insights.page.conftest import Start
from tests.integration.insights.page.test_overview import table
from trainer.adapters.bundle_store import BundleStore

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
OURS = {"sec-fetch-site": "same-origin", "content-type": "application/x-www-form-urlencoded"}


async def get(site: Service, path: str = "/models") -> str:
    answer = await call(site.http_port, "GET", path)
    assert answer.status == 200
    return answer.text


async def serve(site: Service, version: str, instead_of: str) -> Answer:
    return await call(site.http_port, "POST", f"/models/{version}/serve", f"instead_of={instead_of}".encode(), OURS)


async def test_trainings_are_shown_as_the_register_has_them(start: Start, register: None, store: BundleStore):
    del register, store
    page = await get(await start())
    head, *rows = table(page, "Trainings")
    assert head[4:7] == ["Interactions", "NDCG@10", "Popularity's"]
    assert [row[0].partition("<")[0] for row in rows] == ["m4", "m3", "m2", "m1"]
    assert [row[3:7] for row in rows] == [
        ["5\u202fmin", f"31,95{9 - nth}", f"0.{21 - nth}00", "0.1200"] for nth in range(4)
    ]
    drawn = table(html.unescape(page), "NDCG@10: how high what users like is ranked")
    assert [row[1:] for row in drawn] == [["model", "popularity"], *([f"0.{18 + n}00", "0.1200"] for n in range(4))]
    # What comes from elsewhere stays text.
    assert "worse than &lt;b&gt;popularity&lt;/b&gt;" in page


@ON_SQLITE
async def test_another_model_serves_after_a_second_question(start: Start, register: None, store: BundleStore):
    del register
    site = await start()
    assert "Roll back to m1" in await get(site)
    asked = await get(site, "/models/m3/serve")
    assert store.live() == "m2"
    assert 'name="instead_of" value="m2"' in asked
    done = await serve(site, "m3", "m2")
    assert (done.status, done.headers["location"], store.live()) == (303, "/models?done=serves", "m3")
    assert "It serves from now on" in await get(site, "/models?done=serves")
    assert "It serves from now on" not in await get(site, "/models?done=nonsense")


@ON_SQLITE
async def test_to_serve_ends_the_trial_of_that_model(start: Start, store: BundleStore):
    store.try_out(Candidate("m3", Mode.CANARY, 0.05))
    site = await start()
    assert "canary, 5% of users" in await get(site)
    await serve(site, "m3", "m2")
    assert (store.live(), store.candidate()) == ("m3", None)


@ON_SQLITE
async def test_what_was_asked_of_another_state_is_not_done(start: Start, store: BundleStore):
    site = await start()
    store.promote("m1")
    answer = await serve(site, "m3", "m2")
    assert (answer.status, store.live()) == (409, "m1")
    assert "another model serves since this was asked" in answer.text


@ON_SQLITE
async def test_a_damaged_model_never_serves(start: Start, store: BundleStore, tmp_path: Path):
    site = await start()
    (tmp_path / "models" / "m3" / "arrays.npz").write_bytes(b"damaged")
    answer = await serve(site, "m3", "m2")
    assert (answer.status, store.live()) == (409, "m2")
    assert "Nothing was changed" in answer.text


@ON_SQLITE
async def test_without_a_models_folder_it_offers_nothing(start: Start, register: None):
    del register
    site = await start()
    page = await get(site)
    assert "The models folder is not on this machine" in page
    assert "/serve" not in page
    assert (await serve(site, "m3", "m2")).status == 404


@ON_SQLITE
async def test_a_damaged_folder_is_told(start: Start, store: BundleStore, tmp_path: Path):
    del store
    (tmp_path / "models" / "LIVE").write_text("no version at all")
    page = await get(await start())
    assert "The models folder is not as it should be" in page
