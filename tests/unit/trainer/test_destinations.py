"""Who is told, by the settings; what that takes is imported only then."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from runtime.settings import load
from trainer.settings import TrainerSettings
from trainer.status.composition import destinations_of
from trainer.status.ports import DestinationError

SNOWFLAKE = {
    "FEED_TRAINER_SNOWFLAKE_ACCOUNT": "a",
    "FEED_TRAINER_SNOWFLAKE_USER": "u",
    "FEED_TRAINER_SNOWFLAKE_PRIVATE_KEY_FILE": "key.p8",
    "FEED_TRAINER_SNOWFLAKE_DATABASE": "D",
    "FEED_TRAINER_SNOWFLAKE_SCHEMA": "S",
}


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        pytest.param({}, ["mlflow"], id="unless somebody changes it"),
        pytest.param({"FEED_TRAINER_MLFLOW_ENABLED": "false"}, [], id="nobody"),
        pytest.param(SNOWFLAKE, ["mlflow", "snowflake"], id="both"),
    ],
)
def test_the_settings_say_who_is_told(environ: Mapping[str, str], names: list[str]) -> None:
    assert list(destinations_of(load(TrainerSettings, environ))) == names


@pytest.mark.parametrize("name", ["mlflow", "snowflake"])
def test_a_library_that_is_not_installed_says_what_to_do(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, f"trainer.adapters.status_{name}", raising=False)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DestinationError, match=f"install the extra {name}, or set"):
        destinations_of(load(TrainerSettings, SNOWFLAKE))[name]()


def test_nothing_of_it_is_imported_before(tmp_path: Path) -> None:
    program = "import sys, trainer.cli; sys.exit(bool({'mlflow', 'snowflake', 'datadog'} & sys.modules.keys()))"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120, cwd=tmp_path)
