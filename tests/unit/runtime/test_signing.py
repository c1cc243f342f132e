"""The key that signs models, and how another one takes its place while models of both are there."""

from pathlib import Path

import pytest

from runtime.models import bundle_files
from runtime.models.model_bundle import BundleError
from runtime.secrets.signing import KeyFileError, load_or_create_private_key, load_public_key
from tests.model_bundles import arrays_of, manifest_of


def publish(folder: Path, model_version: str) -> None:
    """Publishes a model, signed with the key that is there now."""
    arrays = arrays_of({"u1": (0.0, 1.0, 0.0)}, ["v1", "v2"])
    key = load_or_create_private_key(folder / "keys" / "model_signing.pem")
    bundle_files.publish(folder / "models", manifest_of(model_version), arrays, key)


def readable(folder: Path, model_version: str) -> bool:
    """Whether who has the public key takes the model."""
    try:
        bundle_files.read(folder / "models", model_version, load_public_key(folder / "keys" / "model_signing.pub"))
    except BundleError:
        return False
    return True


def test_models_of_two_keys_are_good_while_one_takes_the_place_of_the_other(tmp_path: Path):
    """As docs/security.md tells operators to do it; nothing is started again."""
    publish(tmp_path, "m1")
    new = tmp_path / "new" / "model_signing.pem"
    load_or_create_private_key(new)
    public = tmp_path / "keys" / "model_signing.pub"

    public.write_bytes(public.read_bytes() + new.with_suffix(".pub").read_bytes())
    new.replace(tmp_path / "keys" / "model_signing.pem")
    publish(tmp_path, "m2")
    assert [readable(tmp_path, version) for version in ("m1", "m2")] == [True, True]

    public.write_bytes(new.with_suffix(".pub").read_bytes())
    assert [readable(tmp_path, version) for version in ("m1", "m2")] == [False, True]


def test_a_key_that_is_not_among_them_is_nobodys(tmp_path: Path):
    publish(tmp_path, "m1")
    others = [tmp_path / name / "key.pem" for name in ("a", "b")]
    for other in others:
        load_or_create_private_key(other)
    public = tmp_path / "keys" / "model_signing.pub"
    public.write_bytes(b"".join(other.with_suffix(".pub").read_bytes() for other in others))
    assert not readable(tmp_path, "m1")


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_a_file_without_keys_is_named(tmp_path: Path, content: bytes):
    (tmp_path / "key.pub").write_bytes(content)
    with pytest.raises(KeyFileError, match=r"key\.pub: no readable public key"):
        load_public_key(tmp_path / "key.pub")
