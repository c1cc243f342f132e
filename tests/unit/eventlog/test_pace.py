"""The pace of the journal: it gives way to the relay, and never keeps an outage from being written."""

from eventlog.domain.pace import CREDIT, SHARE, STILL_S, Pace


def used_up() -> Pace:
    pace = Pace()
    pace.confirmed(4_000, 0.0, is_behind=True)
    pace.written(CREDIT)
    return pace


def test_a_journal_that_nobody_relays_may_grow() -> None:
    pace = Pace()
    pace.written(1_000_000)

    assert pace.allows(0.0)


def test_while_the_relay_is_behind_less_is_written_than_it_takes_away() -> None:
    pace = used_up()
    assert not pace.allows(0.1)

    pace.confirmed(1_000, 0.1, is_behind=True)
    assert pace.allows(0.1)

    pace.written(int(1_000 * SHARE))
    assert not pace.allows(0.1)


def test_near_the_end_there_is_no_limit() -> None:
    pace = used_up()
    pace.confirmed(1, 0.1, is_behind=False)
    pace.written(1_000_000)

    assert pace.allows(0.1)


def test_a_relay_that_stands_still_holds_nobody_up() -> None:
    pace = used_up()

    assert not pace.allows(STILL_S)
    assert pace.allows(STILL_S + 0.01)


def test_a_long_outage_is_not_held_against_those_who_come_after_it() -> None:
    pace = used_up()
    pace.written(1_000_000)
    pace.confirmed(10_000, 1.0, is_behind=True)

    assert pace.allows(1.0)
