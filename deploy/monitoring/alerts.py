"""The alerts. A page is for what users or data suffer now, a ticket for what can wait till morning.

An alert is one entry here, a runbook `docs/runbooks/NAME.md`, and a line that fires and one that does not in
`tests/integration/deploy/alert_cases.py`.
"""

from collections.abc import Sequence
from typing import Final

from deploy.monitoring import slo
from deploy.monitoring.rules import Alert, Group, Severity

_PAGE: Final = Severity.PAGE
_TICKET: Final = Severity.TICKET


def groups(jobs: Sequence[str]) -> tuple[Group, ...]:
    """Returns all rules.

    Args:
        jobs: What Prometheus calls the processes: each of them must be there.
    """
    of_processes = Group("process", _process(jobs))
    return (slo.GROUP, of_processes, _BRIDGE, _SCORER, _INTERACTIONS, _LOG, _SINK, _INSIGHTS, _TRAINER)


def _process(jobs: Sequence[str]) -> tuple[Alert, ...]:
    nowhere = " or ".join(f'absent(up{{job="{job}"}})' for job in jobs)
    failing = (
        "sum by (job, grpc_method) "
        '(rate(grpc_server_handled_total{grpc_code=~"UNKNOWN|INTERNAL|DATA_LOSS"}[5m])) > 0'
        ' or sum by (job, route) (rate(feed_http_requests_total{status="500"}[5m])) > 0'
    )
    return (
        Alert(
            "FeedProcessAway",
            f'up{{job=~"feed-.+"}} == 0 or {nowhere}',
            _PAGE,
            "{{ $labels.job }} is away.",
            "Prometheus cannot ask it: it is down, hangs, or cannot be reached.",
            "1m",
        ),
        Alert(
            "FeedProcessRestarts",
            'max by (job, instance) (changes(process_start_time_seconds{job=~"feed-.+"}[10m])) > 2',
            _PAGE,
            "{{ $labels.job }} ({{ $labels.instance }}) was started {{ $value | humanize }} times in 10 min.",
            "It ends again and again, and each time lives for long enough to be seen.",
        ),
        Alert(
            "FeedCallsFail",
            failing,
            _TICKET,
            "Calls to {{ $labels.job }} ({{ $labels.grpc_method }}{{ $labels.route }}) fail.",
            "INTERNAL, UNKNOWN, DATA_LOSS and HTTP 500 are faults of the program, whatever was asked.",
        ),
        Alert(
            "FeedCertificateEnds",
            "min by (job) (feed_tls_certificate_expiry_seconds) - time() < 7 * 86400",
            _TICKET,
            "The certificate of {{ $labels.job }} runs out in {{ $value | humanizeDuration }}.",
            "From then on every new connection to it is refused, and a bridge without its scorers serves the ladder.",
        ),
    )


_BRIDGE: Final = Group(
    "bridge",
    (
        Alert(
            "FeedNotPersonal",
            "sum(rate(feed_bridge_fallback_rungs_total[5m])) / sum(rate(feed_bridge_requests_total[5m])) > 0.05",
            _PAGE,
            "{{ $value | humanizePercentage }} of the pages come from the fallback ladder.",
            "Users get no personal feed; the label reason of feed_bridge_fallback_rungs_total says why.",
            "1m",
        ),
        Alert(
            "FeedPagesLate",
            "sum(increase(feed_bridge_late_total[5m])) > 0",
            _TICKET,
            "{{ $value | humanize }} pages of the last 5 min were finished after their deadline.",
            "The promise is broken. The event loop is held up, or the machine has no CPU left.",
        ),
        Alert(
            "FeedBreakerOpen",
            "max by (target) (feed_bridge_breaker_state) == 2",
            _TICKET,
            "The breaker of {{ $labels.target }} is open.",
            "A scorer is down or slow, or somebody holds its breaker open.",
            "2m",
        ),
        Alert(
            "FeedBreakerForced",
            "max by (target) (feed_bridge_breaker_forced) != 0",
            _TICKET,
            "Somebody holds the breaker of {{ $labels.target }} {{ if eq $value 1.0 }}open{{ else }}closed{{ end }}.",
            "It has not decided itself for an hour: the switch may have been forgotten.",
            "1h",
        ),
        Alert(
            "FeedRetryBudgetEmpty",
            "min(feed_bridge_retry_budget_tokens) < 1",
            _TICKET,
            "A bridge has no retries left.",
            "Failures outrun the budget, so that the first one of a request decides.",
            "1m",
        ),
        Alert(
            "FeedShedding",
            "sum by (tier) (rate(feed_bridge_shed_total[5m])) > 0",
            _PAGE,
            "{{ $value | humanize }} requests a second are shed ({{ $labels.tier }}).",
            "There are not enough scorers (ladder: trending pages) or bridges (refused: no page) for the load.",
            "10m",
        ),
        Alert(
            "FeedScorerUnusable",
            "sum by (target, outcome) "
            '(increase(feed_bridge_attempts_total{outcome=~"model_missing|contract_mismatch"}[5m])) > 0',
            _TICKET,
            "{{ $labels.target }} cannot rank: {{ $labels.outcome }}.",
            "A scorer has no model, or is of another release than the bridge.",
            "2m",
        ),
        Alert(
            "FeedTrendingOld",
            "max(feed_bridge_trending_age_seconds) > 600",
            _TICKET,
            "Trending was last read {{ $value | humanizeDuration }} ago.",
            "What users get when the model does not serve grows old: the database, or the sink.",
        ),
        Alert(
            "FeedNothingTrends",
            'sum(rate(feed_bridge_fallback_rungs_total{rung="editorial"}[10m])) > 0',
            _TICKET,
            "Pages come from the editorial list.",
            "No list of what trends is usable: it is empty, or all of it has been seen or filtered out.",
        ),
        Alert(
            "FeedListsUnwritable",
            'sum by (list) (increase(feed_bridge_list_failures_total{trouble="unwritable"}[10m])) > 0',
            _TICKET,
            "The list {{ $labels.list }} cannot be written.",
            "It serves from memory; a restart would lose it.",
        ),
        Alert(
            "FeedCorrectionsOld",
            "max(feed_bridge_corrections_age_seconds) > 60",
            _PAGE,
            "Editors' corrections were last read {{ $value | humanizeDuration }} ago.",
            "What editors block may still be shown. The database is away, or a bridge cannot reach it.",
        ),
        Alert(
            "FeedConsentOld",
            "max(feed_bridge_consent_age_seconds) > 60",
            _PAGE,
            "Who wants to be known was last read {{ $value | humanizeDuration }} ago.",
            "Users who have withdrawn their consent since still get personal pages, which are recorded.",
        ),
        Alert(
            "FeedServedRecordsLost",
            "sum by (why) (increase(feed_bridge_served_dropped_total[10m])) > 0",
            _TICKET,
            "{{ $value | humanize }} records of served pages are lost ({{ $labels.why }}).",
            "Pages are served, but acceptance, experiments and the seen filter do not know of these.",
        ),
    ),
)

_SCORER: Final = Group(
    "scorer",
    (
        Alert(
            "FeedModelRefused",
            'sum by (instance) (increase(feed_scorer_model_swaps_total{result="refused"}[10m])) > 0',
            _TICKET,
            "{{ $labels.instance }} refused a model.",
            "It is damaged, foreign or not signed; the one before serves.",
        ),
        Alert(
            "FeedModelOld",
            # 36 h: one night may fail, not two. +Inf: there is none.
            "max(feed_scorer_model_age_seconds) > 129600",
            _TICKET,
            "A scorer serves a model that is {{ $value | humanizeDuration }} old.",
            "It knows nothing of what was watched since, but what users did of late is folded in.",
            "5m",
        ),
        Alert(
            "FeedCandidateRefused",
            'sum by (instance) (increase(feed_scorer_candidate_swaps_total{result="refused"}[10m])) > 0',
            _TICKET,
            "{{ $labels.instance }} does not try the candidate.",
            "The log of the scorer says why.",
        ),
        Alert(
            "FeedCandidateFails",
            'sum by (mode) (increase(feed_scorer_candidate_rankings_total{result="failed"}[10m])) > 0',
            _TICKET,
            "The candidate ({{ $labels.mode }}) fails to rank.",
            "The live model ranks instead: nobody notices, but the trial is worth nothing.",
        ),
    ),
)

_INTERACTIONS: Final = Group(
    "interactions",
    (
        Alert(
            "FeedEventsFailed",
            'sum(increase(feed_interactions_events_total{status="FAILED"}[5m])) > 0',
            _PAGE,
            "{{ $value | humanize }} events of the last 5 min were not taken.",
            "Neither Kafka nor the journal took them: callers have to send them again, or they are lost.",
        ),
        Alert(
            "FeedEventsRejected",
            'sum(rate(feed_interactions_events_total{status="REJECTED"}[10m]))'
            " / sum(rate(feed_interactions_events_total[10m])) > 0.01",
            _TICKET,
            "{{ $value | humanizePercentage }} of the events are rejected.",
            "A client release sends what the contract refuses; feed_interactions_rejected_total names the field.",
            "10m",
        ),
        Alert(
            "FeedPublishSlow",
            "histogram_quantile(0.95, sum by (le) "
            "(rate(feed_interactions_publish_duration_seconds_bucket[5m]))) > 0.05",
            _TICKET,
            "One event in twenty takes {{ $value | humanizeDuration }} or longer until it is durable.",
            "P95 is to stay below 50 ms.",
            "5m",
        ),
    ),
)

_LOG: Final = Group(
    "log",
    (
        Alert(
            "FeedKafkaRefusesCredentials",
            "sum by (job) (increase(feed_eventlog_authentication_failures_total[1m])) > 0",
            _PAGE,
            "Kafka refuses the credentials of {{ $labels.job }}.",
            "The password or token is wrong, or has ended. Nothing is lost while the journal has room.",
        ),
        Alert(
            "FeedKafkaAway",
            "min by (job) (feed_eventlog_kafka_ready) == 0",
            _PAGE,
            "{{ $labels.job }} cannot use Kafka.",
            "Events go into the journal, and no further: nothing new is learned, and the journal fills.",
            "1m",
        ),
        Alert(
            "FeedJournalOld",
            "max by (job, instance) (feed_eventlog_journal_oldest_age_seconds) > 120",
            _TICKET,
            "The journal of {{ $labels.instance }} has kept an event from Kafka for {{ $value | humanizeDuration }}.",
            "Recommendations and trending grow stale.",
        ),
        Alert(
            "FeedKafkaStutters",
            'sum by (job) (increase(feed_eventlog_switches_total{way="journal"}[10m])) > 10',
            _TICKET,
            "{{ $labels.job }} had to take to the journal {{ $value | humanize }} times in 10 min.",
            "Kafka answers, but not steadily.",
        ),
        Alert(
            "FeedJournalFails",
            "sum by (job, instance) (increase(feed_eventlog_journal_failures_total[5m])) > 0",
            _PAGE,
            "The journal of {{ $labels.instance }} cannot be written or read.",
            "The disk is full or broken: the next outage of Kafka would refuse events.",
        ),
        Alert(
            "FeedJournalDamaged",
            "sum by (job, instance) (increase(feed_eventlog_quarantined_records_total[1h])) > 0",
            _TICKET,
            "{{ $value | humanize }} events in the journal of {{ $labels.instance }} are damaged.",
            "They were acknowledged; what is left of them is under quarantine/.",
        ),
    ),
)

_SINK: Final = Group(
    "sink",
    (
        Alert(
            "FeedSinkLags",
            "max by (topic) (feed_sink_lag_seconds) > 60",
            _PAGE,
            "What is in {{ $labels.topic }} comes into the database {{ $value | humanizeDuration }} late.",
            "Trending and the seen filter grow stale: the database is slow or away, or there are too few sinks.",
            "2m",
        ),
        Alert(
            "FeedSinkLagUnknown",
            # NaN is unequal to itself.
            "feed_sink_lag_seconds != feed_sink_lag_seconds",
            _TICKET,
            "Nobody knows how far the sink {{ $labels.instance }} is with {{ $labels.topic }}.",
            "Kafka does not answer, or the sink has not found out where it left off.",
            "2m",
        ),
        Alert(
            "FeedDeadLetters",
            "sum by (topic, fault) (increase(feed_sink_dead_letters_total[10m])) > 0",
            _TICKET,
            "{{ $value | humanize }} records of {{ $labels.topic }} could not be stored ({{ $labels.fault }}).",
            "They are in the dead-letter topic, and can be put back after a repair.",
        ),
        Alert(
            "FeedSinkRebalances",
            "sum by (job) (increase(feed_eventlog_rebalances_total[10m])) > 10",
            _TICKET,
            "Partitions changed hands {{ $value | humanize }} times in 10 min.",
            "Sinks come and go, or cannot keep up with their sessions.",
        ),
    ),
)

_INSIGHTS: Final = Group(
    "insights",
    (
        Alert(
            "FeedLedgerUnbalanced",
            "max(abs(feed_insights_balance)) > 0",
            _TICKET,
            "The ledger of outcomes is out by {{ $value }}.",
            "Totals and rows have come apart: acceptance rates and experiments are not to be trusted.",
        ),
        Alert(
            "FeedLedgerOld",
            "min(feed_insights_ledger_age_seconds) > 60",
            _TICKET,
            "The ledger of outcomes has not caught up for {{ $value | humanizeDuration }}.",
            "Acceptance rates and experiments grow old: the database, or a transaction that has not ended.",
            "2m",
        ),
        Alert(
            "FeedEventsForged",
            'max(delta(feed_insights_claims{verdict="forged"}[10m])) > 0',
            _TICKET,
            "{{ $value | humanize }} interactions of the last 10 min name pages that were never served.",
            "Somebody makes events up, or insights has another key than the bridges.",
        ),
        Alert(
            "FeedClaimsWait",
            "min(delta(feed_insights_waiting_claims[10m])) > 0",
            _TICKET,
            "Ever more interactions wait for the pages that they belong to.",
            "Records of served pages do not come.",
            "10m",
        ),
        Alert(
            "FeedDecisionsMissing",
            "max(delta(feed_insights_missing_videos[10m])) > 0",
            _TICKET,
            "{{ $value | humanize }} served videos have lost their decision.",
            "Rows of recommendation_decisions were deleted under the ledger.",
        ),
        Alert(
            "FeedEventsIncomplete",
            'sum by (event, field) (increase(feed_insights_event_problems_total{field!="recommendation_id"}[10m])) > 0',
            _TICKET,
            "{{ $labels.field }} is missing or wrong in {{ $value | humanize }} of {{ $labels.event }}.",
            "What is told of pages is not whole.",
        ),
        Alert(
            "FeedExperimentMismatched",
            "max(feed_insights_experiments_mismatched) > 0",
            _TICKET,
            "{{ $value }} experiments have not the users that were drawn.",
            "A variant loses pages or users on the way, so that no difference means anything.",
        ),
        Alert(
            "FeedExperimentStopped",
            "sum(increase(feed_insights_experiments_stopped_total[1h])) > 0",
            _TICKET,
            "An experiment was stopped: it harmed its users.",
            "All users are served as without it again.",
        ),
    ),
)

_TRAINER: Final = Group(
    "trainer",
    (
        Alert(
            "FeedTrainerNoGoodModel",
            # 36 h: one night may fail, not two. +Inf while no run ever succeeded.
            "min(feed_trainer_good_model_age_seconds) > 129600",
            _PAGE,
            "No good model has come for {{ $value | humanizeDuration }}.",
            "The model before goes on serving; it knows nothing of what was watched since.",
            "5m",
        ),
        Alert(
            "FeedTrainerRunNotSucceeded",
            'max by (state) (feed_trainer_run_state{state=~"failed|refused"}) == 1',
            _TICKET,
            "The last training ended as {{ $labels.state }}.",
            "The reason is in model_trainings.error; the model before goes on serving.",
            "5m",
        ),
        Alert(
            "FeedTrainerRunSilent",
            # The scheduler marks it as failed after 2 min, unless it cannot write either.
            "max(feed_trainer_heartbeat_age_seconds) > 600",
            _TICKET,
            "The training that runs has given no sign of life for {{ $value | humanizeDuration }}.",
            "It is dead or the database cannot be written.",
        ),
        Alert(
            "FeedTrainerScheduleAway",
            "absent(feed_trainer_next_run_timestamp_seconds)"
            " or time() - feed_trainer_next_run_timestamp_seconds > 3600",
            _PAGE,
            "Nobody will start the next training.",
            "The process feed trainer schedule is away, or its clock stands still.",
            "15m",
        ),
        Alert(
            "FeedTrainerRegisterUnread",
            # NaN, unequal to itself, while it was never read.
            "min(feed_trainer_register_age_seconds) > 300"
            " or feed_trainer_register_age_seconds != feed_trainer_register_age_seconds",
            _TICKET,
            "The scheduler cannot read model_trainings.",
            "What the other metrics of runs say is old.",
            "10m",
        ),
        Alert(
            "FeedTrainerStatusesWaiting",
            "max by (destination) (feed_trainer_statuses_waiting) > 0",
            _TICKET,
            "{{ $labels.destination }} has not been told of {{ $value }} runs for 6 h.",
            "Nothing is lost; why is in training_outbox.error.",
            "6h",
        ),
    ),
)
