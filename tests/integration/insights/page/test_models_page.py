"""The models: the register as it is, and another one comes to serve only after a second question."""

import html
from pathlib import Path

import pytest

from runtime.models.candidate_file import Candidate, Mode
from runtime.process import Service
from storage import audit
from storage.audit import Action, Actor, Change, Door, Subject
from storage.database import Database
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


async def serve(site: Service, version: str, instead_of: str, admin: str = "ann") -> Answer:
    body = f"instead_of={instead_of}&adminId={admin}".encode()
    return await call(site.http_port, "POST", f"/models/{version}/serve", body, OURS)


async def changes(database_url: str) -> list[Change]:
    database = Database(database_url)
    async with database.read() as connection:
        found = await audit.list_newest(connection, 10)
    await database.close()
    return [each.change for each in found]


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
async def test_another_model_serves_after_a_second_question(
    start: Start, register: None, store: BundleStore, database_url: str
):
    del register
    site = await start()
    assert "Roll back to m1" in await get(site)
    asked = await get(site, "/models/m3/serve")
    assert store.live() == "m2"
    assert 'name="instead_of" value="m2"' in asked
    done = await serve(site, "m3", "m2")
    assert (done.status, done.headers["location"], store.live()) == (303, "/models?done=serves", "m3")
    assert await changes(database_url) == [
        Change(Subject.MODEL, "m3", Action.SERVED, Actor("ann", Door.PAGE), {"instead_of": "m2"})
    ]
    assert "It serves from now on" in await get(site, "/models?done=serves")
    assert "It serves from now on" not in await get(site, "/models?done=nonsense")


@ON_SQLITE
@pytest.mark.parametrize("admin", ["", "a" * 129, "ann%00"])
async def test_nobody_changes_the_model_without_a_name(start: Start, store: BundleStore, database_url: str, admin: str):
    answer = await serve(await start(), "m3", "m2", admin)
    assert (answer.status, store.live(), await changes(database_url)) == (422, "m2", [])
    assert "must be 1 to 128 characters" in answer.text


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
async def test_a_damaged_model_never_serves(start: Start, store: BundleStore, tmp_path: Path, database_url: str):
    site = await start()
    (tmp_path / "models" / "m3" / "arrays.npz").write_bytes(b"damaged")
    answer = await serve(site, "m3", "m2")
    assert (answer.status, store.live()) == (409, "m2")
    assert "Nothing was changed" in answer.text
    assert await changes(database_url) == []


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
