"""What others wrote is what they published, with its licence, and nothing else lies beside it."""

import hashlib
import json
from importlib.resources import files

FOLDER = files("insights.page") / "assets" / "vendor"
LIST = "VENDORED.json"
PACKAGES = json.loads((FOLDER / LIST).read_text())


def test_every_file_is_the_one_that_was_published():
    told = {name: file["sha256"] for package in PACKAGES for name, file in package["files"].items()}
    found = {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in FOLDER.iterdir() if each.name != LIST}
    assert found == told


def test_every_package_has_its_version_and_its_licence():
    for package in PACKAGES:
        assert package["version"]
        assert package["integrity"].startswith("sha512-")
        assert [name for name in package["files"] if name.endswith("LICENSE")]
