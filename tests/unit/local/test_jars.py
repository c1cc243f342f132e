"""The pinned list of Kafka's jars."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from deploy.local import jars
from deploy.local.errors import LocalServerError

NAMESPACE = "{http://maven.apache.org/POM/4.0.0}"


def test_the_list_has_what_the_pom_names() -> None:
    pinned = {(jar.group, jar.artifact): jar.version for jar in jars.read_lock()}
    for wanted in ET.parse(jars.POM).iter(f"{NAMESPACE}dependency"):
        group, artifact, version = (
            wanted.findtext(f"{NAMESPACE}{name}") for name in ("groupId", "artifactId", "version")
        )
        assert pinned[str(group), str(artifact)] == version


def test_every_jar_of_kafka_has_one_version() -> None:
    assert {jar.version for jar in jars.read_lock() if jar.group == "org.apache.kafka"} == {"4.1.0"}


def test_every_line_is_a_digest_and_a_coordinate() -> None:
    for line in jars.LOCK.read_text().splitlines():
        assert re.fullmatch(r"[0-9a-f]{64}  [\w.-]+:[\w.-]+:[\w.-]+", line)


def test_a_jar_with_other_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a-1.jar").write_bytes(b"tampered")
    with pytest.raises(LocalServerError, match=r"a-1\.jar has sha256 \w{64}, not 0000 as pinned"):
        jars._verify(tmp_path, [jars.Jar("g", "a", "1", "0000")])


def test_a_folder_is_complete_only_with_every_jar_and_this_list_s_marker(tmp_path: Path) -> None:
    pinned = [jars.Jar("g", "a", "1", "00"), jars.Jar("g", "b", "1", "11")]
    (tmp_path / ".complete").write_text(jars._fingerprint(pinned))
    (tmp_path / "a-1.jar").touch()
    assert not jars._is_complete(tmp_path, pinned)
    (tmp_path / "b-1.jar").touch()
    assert jars._is_complete(tmp_path, pinned)
    assert not jars._is_complete(tmp_path, [*pinned[:1], jars.Jar("g", "b", "1", "22")])
