"""Secrets that change while processes run: who signs first must not be ahead of who verifies."""

from pathlib import Path

import pytest

from runtime.secrets import secret_ring
from runtime.secrets.secret_ring import SecretRing
from tests.secret_files import write_secret

OLD, NEW, NEWER = (bytes([number]) * 32 for number in range(1, 4))


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "token.key"
    write_secret(made, OLD)
    return made


def test_a_new_secret_verifies_at_once_and_signs_when_everybody_has_it(path: Path, clock: Clock) -> None:
    ring = SecretRing(path, clock)
    write_secret(path, NEW + OLD)
    told = []
    for clock.now in (0.5, 1.0, 120.0, 121.0):
        told.append(list(ring.secrets()))
    assert told == [[OLD], [OLD, NEW], [OLD, NEW], [NEW, OLD]]


def test_a_secret_that_is_gone_from_the_file_signs_nothing_more(path: Path, clock: Clock) -> None:
    ring = SecretRing(path, clock)
    write_secret(path, NEW)
    clock.now = 1.0
    assert ring.secrets() == [NEW]


def test_one_that_is_replaced_before_it_signed_is_waited_for_anew(path: Path, clock: Clock) -> None:
    ring = SecretRing(path, clock)
    told = []
    for clock.now, content in ((1.0, NEW + OLD), (60.0, NEWER + OLD), (179.0, NEWER + OLD), (180.0, NEWER + OLD)):
        write_secret(path, content)
        told.append(list(ring.secrets()))
    assert told == [[OLD, NEW], [OLD, NEWER], [OLD, NEWER], [NEWER, OLD]]


def test_a_process_that_starts_meanwhile_signs_with_what_all_others_verify(path: Path, clock: Clock) -> None:
    running = SecretRing(path, clock)
    secret_ring.rotate(path, keep=True)
    clock.now = 1.0
    assert SecretRing(path, clock).secrets()[0] in running.secrets()
