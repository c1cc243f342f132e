"""For each alert, series by which it fires, and others, as near as may be, by which it does not.

A series is its name and labels, and its values minute by minute (`step`) as promtool writes them: `0+5x3` is 0 5 10 15.
"""

from dataclasses import dataclass
from typing import Final

from tests.system import HTTP


@dataclass(frozen=True, slots=True)
class Case:
    """Histories of an alert.

    Args:
        fires: Series by which it fires.
        quiet: Histories by which it does not, each a number of series.
        at: When it is looked at.
        step: Time between values, and between evaluations; at most 5 min, or values are too old to be seen.
    """

    fires: tuple[str, ...]
    quiet: tuple[tuple[str, ...], ...]
    at: str = "15m"
    step: str = "1m"


def _case(fires: str, *quiet: str, at: str = "15m", step: str = "1m") -> Case:
    return Case((fires,), tuple((each,) for each in quiet), at, step)


def _pages(late: str, all_of_them: str, *, refused: str = "0+0x1000") -> tuple[str, ...]:
    """Pages in time and all pages, as they add up; and requests that got none."""
    labels = 'source="LIGHTFM", fallback_reason="NONE"'
    return (
        f'feed_bridge_request_duration_seconds_bucket{{le="0.15", {labels}}} {late}',
        f"feed_bridge_request_duration_seconds_count{{{labels}}} {all_of_them}",
        f'feed_bridge_shed_total{{tier="refused"}} {refused}',
    )


def _sources(personal: str, trending: str, reason: str = "DEADLINE") -> tuple[str, ...]:
    return (
        f'feed_bridge_requests_total{{source="LIGHTFM", fallback_reason="NONE"}} {personal}',
        f'feed_bridge_requests_total{{source="TRENDING", fallback_reason="{reason}"}} {trending}',
    )


def _fallbacks(ladder: int, pages: int, rung: str = "trending_global") -> tuple[str, ...]:
    return (
        f'feed_bridge_fallback_rungs_total{{rung="{rung}", reason="DEADLINE"}} 0+{ladder}x20',
        f'feed_bridge_requests_total{{source="TRENDING"}} 0+{pages}x20',
    )


def _events(rejected: int, accepted: int) -> tuple[str, ...]:
    return (
        f'feed_interactions_events_total{{status="REJECTED"}} 0+{rejected}x30',
        f'feed_interactions_events_total{{status="ACCEPTED"}} 0+{accepted}x30',
    )


def _published(within_50_ms: int, *, all_of_them: int = 100) -> tuple[str, ...]:
    name = "feed_interactions_publish_duration_seconds_bucket"
    counts = {"0.03": 0, "0.05": within_50_ms, "0.075": all_of_them, "+Inf": all_of_them}
    return tuple(f'{name}{{durability="KAFKA", le="{le}"}} 0+{count}x20' for le, count in counts.items())


def _up(**values: str) -> tuple[str, ...]:
    return tuple(f'up{{job="feed-{name}"}} {values.get(name, "1+0x20")}' for name in HTTP if values.get(name) != "")


_NAN: Final = " ".join(["NaN"] * 20)

CASES: Final = {
    "FeedLatencyBudgetBurns page": Case(
        _pages("0+98x200", "0+100x200"),
        (
            _pages("0+995x400", "0+1000x400"),
            # What was bad is over for half an hour: nobody needs to get up.
            _pages("0+98x60 5980+100x40", "0+100x101"),
        ),
        at="95m",
    ),
    "FeedLatencyBudgetBurns ticket": Case(
        # Every page in time, but some refused.
        _pages("0+1000x900", "0+1000x900", refused="0+2x900"),
        (_pages("0+9995x900", "0+10000x900"),),
        at="74h",
        step="5m",
    ),
    "FeedPersonalBudgetBurns page": Case(
        _sources("0+20x200", "0+80x200"),
        (_sources("0+75x400", "0+25x400"), _sources("0+20x200", "0+80x200", "NONE")),
        at="95m",
    ),
    "FeedPersonalBudgetBurns ticket": Case(
        _sources("0+94x900", "0+6x900"), (_sources("0+96x900", "0+4x900"),), at="74h", step="5m"
    ),
    "FeedProcessAway page": Case(_up(scorer="1+0x10 0+0x10"), (_up(), _up(scorer="1+0x13 0 1+0x10"))),
    "FeedProcessRestarts page": _case(
        'process_start_time_seconds{job="feed-sink", instance="a:1"} 100x9 700 760 820x5',
        'process_start_time_seconds{job="feed-sink", instance="a:1"} 100x9 700 760x6',
        'process_start_time_seconds{job="feed-sink", instance="a:1"} 100 160 220 280x20',
        'process_start_time_seconds{job="others", instance="a:1"} 100x9 700 760 820x5',
    ),
    "FeedCallsFail ticket": _case(
        'grpc_server_handled_total{job="feed-scorer", grpc_method="Rank", grpc_code="INTERNAL"} 0+0x13 1+1x9',
        'grpc_server_handled_total{job="feed-scorer", grpc_method="Rank", grpc_code="RESOURCE_EXHAUSTED"} 0+9x20',
        'feed_http_requests_total{job="feed-bridge", route="/readyz", status="503"} 0+9x20',
    ),
    "FeedCertificateEnds ticket": _case(
        'feed_tls_certificate_expiry_seconds{job="feed-scorer"} 604000+0x20',
        'feed_tls_certificate_expiry_seconds{job="feed-scorer"} 608400+0x20',
        'feed_tls_certificate_expiry_seconds{job="feed-scorer"} NaN',
    ),
    "FeedNotPersonal page": Case(_fallbacks(6, 100), (_fallbacks(5, 100),)),
    "FeedPagesLate ticket": _case("feed_bridge_late_total 0+0x13 1+0x9", "feed_bridge_late_total 7+0x20"),
    "FeedBreakerOpen ticket": _case(
        'feed_bridge_breaker_state{target="a:1"} 0+0x12 2+0x9',
        'feed_bridge_breaker_state{target="a:1"} 1+0x20',
        'feed_bridge_breaker_state{target="a:1"} 0+0x13 2+0x9',
    ),
    "FeedBreakerForced ticket": _case(
        'feed_bridge_breaker_forced{target="a:1"} 2+0x90',
        'feed_bridge_breaker_forced{target="a:1"} 0+0x15 1+0x90',
        at="70m",
    ),
    "FeedRetryBudgetEmpty ticket": _case(
        "feed_bridge_retry_budget_tokens 0.5+0x20", "feed_bridge_retry_budget_tokens 1+0x20"
    ),
    "FeedShedding page": _case(
        'feed_bridge_shed_total{tier="refused"} 0+1x30',
        'feed_bridge_shed_total{tier="refused"} 0+0x10 0+1x20',
        at="18m",
    ),
    "FeedScorerUnusable ticket": _case(
        'feed_bridge_attempts_total{target="a:1", outcome="model_missing"} 0+1x20',
        'feed_bridge_attempts_total{target="a:1", outcome="timeout"} 0+9x20',
    ),
    "FeedTrendingOld ticket": _case(
        "feed_bridge_trending_age_seconds Inf Inf Inf", "feed_bridge_trending_age_seconds 600 600 600", at="2m"
    ),
    "FeedNothingTrends ticket": Case(_fallbacks(1, 100, "editorial"), (_fallbacks(9, 100),)),
    "FeedListsUnwritable ticket": _case(
        'feed_bridge_list_failures_total{list="trending", trouble="unwritable"} 0+0x13 1+0x9',
        'feed_bridge_list_failures_total{list="trending", trouble="not_refreshed"} 0+1x20',
    ),
    "FeedCorrectionsOld page": _case(
        "feed_bridge_corrections_age_seconds 61+0x20", "feed_bridge_corrections_age_seconds 60+0x20"
    ),
    "FeedConsentOld page": _case("feed_bridge_consent_age_seconds 61+0x20", "feed_bridge_consent_age_seconds 60+0x20"),
    "FeedServedRecordsLost ticket": _case(
        'feed_bridge_served_dropped_total{why="queue_full"} 0+0x13 5+0x9',
        'feed_bridge_served_dropped_total{why="queue_full"} 5+0x20',
    ),
    "FeedModelRefused ticket": _case(
        'feed_scorer_model_swaps_total{instance="s:1", result="refused"} 0+0x13 1+0x9',
        'feed_scorer_model_swaps_total{instance="s:1", result="swapped"} 0+1x20',
    ),
    "FeedModelOld ticket": _case(
        "feed_scorer_model_age_seconds 129601+60x20", "feed_scorer_model_age_seconds 128000+60x20"
    ),
    "FeedCandidateRefused ticket": _case(
        'feed_scorer_candidate_swaps_total{instance="s:1", result="refused"} 0+0x13 1+0x9',
        'feed_scorer_candidate_swaps_total{instance="s:1", result="swapped"} 0+1x20',
    ),
    "FeedCandidateFails ticket": _case(
        'feed_scorer_candidate_rankings_total{mode="canary", result="failed"} 0+0x13 1+0x9',
        'feed_scorer_candidate_rankings_total{mode="shadow", result="dropped"} 0+1x20',
    ),
    "FeedEventsFailed page": _case(
        'feed_interactions_events_total{status="FAILED"} 0+0x13 1+0x9',
        'feed_interactions_events_total{status="DUPLICATE"} 0+9x20',
    ),
    "FeedEventsRejected ticket": Case(_events(2, 100), (_events(1, 100),), at="25m"),
    "FeedPublishSlow ticket": Case(_published(94), (_published(96),)),
    "FeedKafkaRefusesCredentials page": _case(
        'feed_eventlog_authentication_failures_total{job="feed-sink"} 0+1x20',
        'feed_eventlog_authentication_failures_total{job="feed-sink"} 9+0x20',
    ),
    "FeedKafkaAway page": _case(
        'feed_eventlog_kafka_ready{job="feed-sink"} 0+0x20', f'feed_eventlog_kafka_ready{{job="feed-sink"}} {_NAN}'
    ),
    "FeedJournalOld ticket": _case(
        'feed_eventlog_journal_oldest_age_seconds{job="feed-interactions", instance="i:1"} 0+60x20',
        'feed_eventlog_journal_oldest_age_seconds{job="feed-interactions", instance="i:1"} 120+0x20',
    ),
    "FeedKafkaStutters ticket": _case(
        'feed_eventlog_switches_total{job="feed-interactions", way="journal"} 0+2x20',
        'feed_eventlog_switches_total{job="feed-interactions", way="journal"} 0+1x20',
    ),
    "FeedJournalFails page": _case(
        'feed_eventlog_journal_failures_total{instance="i:1"} 0+0x13 1+0x9',
        'feed_eventlog_journal_failures_total{instance="i:1"} 1+0x20',
    ),
    "FeedJournalDamaged ticket": _case(
        'feed_eventlog_quarantined_records_total{instance="i:1"} 0+0x13 3+0x9',
        'feed_eventlog_quarantined_records_total{instance="i:1"} 3+0x20',
    ),
    "FeedSinkLags page": _case('feed_sink_lag_seconds{topic="t"} 0+20x20', 'feed_sink_lag_seconds{topic="t"} 60+0x20'),
    "FeedSinkLagUnknown ticket": _case(
        f'feed_sink_lag_seconds{{topic="t"}} {_NAN}', 'feed_sink_lag_seconds{topic="t"} 0+0x20'
    ),
    "FeedDeadLetters ticket": _case(
        'feed_sink_dead_letters_total{topic="t", fault="unreadable"} 0+0x13 1+0x9',
        'feed_sink_dead_letters_total{topic="t", fault="unreadable"} 1+0x20',
    ),
    "FeedSinkRebalances ticket": _case(
        'feed_eventlog_rebalances_total{job="feed-sink"} 0+2x20',
        'feed_eventlog_rebalances_total{job="feed-sink"} 0+1x20',
    ),
    "FeedLedgerUnbalanced ticket": _case(
        "feed_insights_balance -1+0x20", "feed_insights_balance 0+0x20", f"feed_insights_balance {_NAN}"
    ),
    "FeedLedgerOld ticket": _case(
        "feed_insights_ledger_age_seconds 0+30x20", "feed_insights_ledger_age_seconds 60+0x20"
    ),
    "FeedEventsForged ticket": _case(
        'feed_insights_claims{verdict="forged"} 5+0x13 8+0x9', 'feed_insights_claims{verdict="late"} 0+9x20'
    ),
    "FeedClaimsWait ticket": _case(
        "feed_insights_waiting_claims 0+3x30", "feed_insights_waiting_claims 90-3x30", at="25m"
    ),
    "FeedDecisionsMissing ticket": _case(
        "feed_insights_missing_videos 0+0x13 20+0x9", "feed_insights_missing_videos 20+0x20"
    ),
    "FeedEventsIncomplete ticket": _case(
        'feed_insights_event_problems_total{event="feed_recommendation_served", field="algorithm"} 0+0x13 3+0x9',
        'feed_insights_event_problems_total{event="feed_recommendation_consumed", field="recommendation_id"} 0+1x20',
    ),
    "FeedExperimentMismatched ticket": _case(
        "feed_insights_experiments_mismatched 1+0x20", "feed_insights_experiments_mismatched 0+0x20"
    ),
    "FeedExperimentStopped ticket": _case(
        "feed_insights_experiments_stopped_total 0+0x13 1+0x9", "feed_insights_experiments_stopped_total 1+0x20"
    ),
    "FeedTrainerNoGoodModel page": _case(
        "feed_trainer_good_model_age_seconds Inf Inf Inf Inf Inf Inf Inf Inf",
        "feed_trainer_good_model_age_seconds 86400+60x20",
        at="7m",
    ),
    "FeedTrainerRunNotSucceeded ticket": _case(
        'feed_trainer_run_state{state="refused"} 1+0x20', 'feed_trainer_run_state{state="succeeded"} 1+0x20'
    ),
    "FeedTrainerRunSilent ticket": _case(
        "feed_trainer_heartbeat_age_seconds 0+60x20",
        "feed_trainer_heartbeat_age_seconds 600+0x20",
        f"feed_trainer_heartbeat_age_seconds {_NAN}",
    ),
    "FeedTrainerScheduleAway page": _case(
        # promtool's clock begins at 0.
        "feed_trainer_next_run_timestamp_seconds -3000+0x40",
        "feed_trainer_next_run_timestamp_seconds 0+0x40",
        at="30m",
    ),
    "FeedTrainerRegisterUnread ticket": _case(
        f"feed_trainer_register_age_seconds {_NAN}", "feed_trainer_register_age_seconds 30+0x20"
    ),
    "FeedTrainerStatusesWaiting ticket": _case(
        'feed_trainer_statuses_waiting{destination="mlflow"} 1+0x100',
        'feed_trainer_statuses_waiting{destination="mlflow"} 0+0x15 1+0x70',
        at="7h",
        step="5m",
    ),
}
