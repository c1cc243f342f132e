"""What is on the dashboards. A metric gets its place by a line here, or by a reason in `NOT_SHOWN`."""

from typing import Final

from deploy.monitoring import slo
from deploy.monitoring.grafana import Dashboard, Panel, Query, Row

# Metrics that no dashboard shows, and why.
NOT_SHOWN: Final = {
    "process_max_fds": "a limit of the machine, beside which open files are read",
    "process_virtual_memory_bytes": "says nothing of what is used",
    "python_info": "the same everywhere",
}


def _per_second(series: str, *labels: str) -> str:
    return f"sum {_by(labels)}(rate({series}[$__rate_interval]))"


def _slowest(metric: str, *labels: str, share: float = 0.99) -> str:
    """Returns what so many of the observations stay below."""
    return f"histogram_quantile({share}, sum {_by(('le', *labels))}(rate({metric}_bucket[$__rate_interval])))"


def _mean(metric: str, *labels: str) -> str:
    return f"{_per_second(f'{metric}_sum', *labels)} / {_per_second(f'{metric}_count', *labels)}"


def _by(labels: tuple[str, ...]) -> str:
    return f"by ({', '.join(labels)}) " if labels else ""


def _legend(labels: tuple[str, ...], otherwise: str) -> str:
    return " ".join(f"{{{{{label}}}}}" for label in labels) or otherwise


def _graph(title: str, unit: str, *queries: tuple[str, str]) -> Panel:
    return Panel(title, unit, tuple(Query(expression, legend) for expression, legend in queries))


def _rate(title: str, series: str, *labels: str, unit: str = "cps") -> Panel:
    return _graph(title, unit, (_per_second(series, *labels), _legend(labels, title)))


def _times(title: str, metric: str, *labels: str, unit: str = "s") -> Panel:
    """Draws the median and the slowest hundredth."""
    named = _legend(labels, "")
    quantiles = ((share, f"p{share * 100:.0f} {named}".strip()) for share in (0.5, 0.99))
    return _graph(title, unit, *((_slowest(metric, *labels, share=share), legend) for share, legend in quantiles))


def _level(title: str, unit: str, *series: str, by: tuple[str, ...] = ()) -> Panel:
    """Draws the largest value of gauges."""
    return _graph(title, unit, *((f"max {_by(by)}({each})", _legend(by, each)) for each in series))


def _figure(title: str, unit: str, expression: str, low: float | None = None, high: float | None = None) -> Panel:
    return Panel(title, unit, (Query(expression, title),), is_stat=True, low=low, high=high)


_FIRST: Final = Row(
    "Now",
    (
        _figure("Personal pages", "percentunit", f"1 - {slo.PERSONAL.over('5m')}", low=1 - slo.PERSONAL.budget),
        _figure("In 150 ms", "percentunit", f"1 - {slo.LATENCY.over('5m')}", low=1 - slo.LATENCY.budget),
        _figure("Pages a second", "reqps", _per_second("feed_bridge_requests_total")),
        _figure("p99 of pages", "s", _slowest("feed_bridge_request_duration_seconds"), high=slo.PROMISE_S),
        _figure("Processes away", "short", 'count(up{job=~"feed-.+"} == 0) or vector(0)', high=1),
        _figure("Alerts", "short", 'count(ALERTS{alertname=~"Feed.+", alertstate="firing"}) or vector(0)', high=1),
    ),
)

_HEALTH: Final = Dashboard(
    "health",
    "Feed health",
    "Do users get personal feeds in time, and if not, why?",
    (
        _FIRST,
        Row(
            "Pages",
            (
                _rate("Pages by source", "feed_bridge_requests_total", "source", unit="reqps"),
                _rate("Why not the model's", "feed_bridge_fallback_rungs_total", "reason"),
                _times("Time of a page", "feed_bridge_request_duration_seconds"),
                _graph(
                    "Error budgets burnt, hour by hour",
                    "percentunit",
                    (slo.LATENCY.over("1h"), "late or refused"),
                    (slo.PERSONAL.over("1h"), "not personal"),
                ),
                _graph(
                    "Late and shed",
                    "cps",
                    (_per_second("feed_bridge_late_total"), "late"),
                    (_per_second("feed_bridge_shed_total", "tier"), "shed: {{tier}}"),
                ),
                _level("Requests under way", "short", "feed_bridge_in_flight", by=("instance",)),
            ),
        ),
        Row(
            "Where the time goes",
            (
                _graph(
                    "p99 by stage",
                    "s",
                    (_slowest("feed_bridge_stage_duration_seconds", "stage"), "{{stage}}"),
                ),
                _graph(
                    "p99 of the event loop's lag", "s", (_slowest("feed_process_loop_lag_seconds", "job"), "{{job}}")
                ),
                _graph(
                    "p99 of the wait before a handler",
                    "s",
                    (_slowest("feed_process_call_wait_seconds", "job"), "{{job}}"),
                ),
            ),
        ),
        Row(
            "Calls",
            (
                _rate("gRPC by status", "grpc_server_handled_total", "job", "grpc_code", unit="reqps"),
                _graph(
                    "p99 of gRPC", "s", (_slowest("grpc_server_handling_seconds", "grpc_method"), "{{grpc_method}}")
                ),
                _rate("HTTP by status", "feed_http_requests_total", "job", "status", unit="reqps"),
                _graph("p99 of HTTP", "s", (_slowest("feed_http_request_duration_seconds", "route"), "{{route}}")),
                _rate("Refused for a limit", "feed_process_throttled_total", "job", "kind"),
            ),
        ),
        Row(
            "Processes",
            (
                _graph("CPU", "percentunit", (_per_second("process_cpu_seconds_total", "job"), "{{job}}")),
                _level("Memory", "bytes", "process_resident_memory_bytes", by=("job",)),
                _level("Open files", "short", "process_open_fds", by=("job",)),
                _graph("Up for", "s", ("time() - max by (job) (process_start_time_seconds)", "{{job}}")),
                _level("Draining", "short", "feed_process_draining", by=("job",)),
                _graph(
                    "Certificates run out in",
                    "s",
                    ("min by (job) (feed_tls_certificate_expiry_seconds) - time()", "{{job}}"),
                ),
                _rate("Workers left out of metrics", "feed_process_silent_workers_total", "instance"),
                _graph(
                    "Releases",
                    "short",
                    ("count by (process, contract) (feed_process_info)", "{{process}} {{contract}}"),
                ),
            ),
        ),
        Row(
            "Traces",
            (
                _graph(
                    "Traces kept",
                    "cps",
                    (_per_second("feed_traces_kept_total", "job", "why"), "{{job}} {{why}}"),
                    (_per_second("feed_traces_held_back_total", "job"), "{{job}}, too many"),
                ),
                _rate("Their spans", "feed_traces_spans_total", "job", "outcome"),
            ),
        ),
    ),
)

_RESILIENCE: Final = Dashboard(
    "resilience",
    "Feed resilience",
    "Which scorer ails, what do breakers, retries and admission do about it, and what do users get meanwhile?",
    (
        Row(
            "Breakers",
            (
                _level("State: 0 closed, 1 half-open, 2 open", "short", "feed_bridge_breaker_state", by=("target",)),
                _rate("Moves", "feed_bridge_breaker_transitions_total", "target", "to"),
                _level("Held: 1 open, 2 closed", "short", "feed_bridge_breaker_forced", by=("target",)),
                _level("Serving, by their own word", "short", "feed_bridge_scorer_serving", by=("target",)),
            ),
        ),
        Row(
            "Attempts",
            (
                _rate("Attempts by outcome", "feed_bridge_attempts_total", "target", "outcome"),
                _times("Time of an attempt", "feed_bridge_attempt_duration_seconds", "target"),
                _rate("Retries and hedges", "feed_bridge_retries_total", "kind"),
                _graph(
                    "Retries left, of 50",
                    "short",
                    ("min by (instance) (feed_bridge_retry_budget_tokens)", "{{instance}}"),
                ),
                _level("Admission", "short", "feed_bridge_limit", "feed_bridge_asking"),
                _graph(
                    "Requests that share a call, mean",
                    "short",
                    (_mean("feed_bridge_batch_users", "target"), "{{target}}"),
                ),
                _times("Wait for the others of a call", "feed_bridge_batch_wait_seconds"),
            ),
        ),
        Row(
            "The ladder",
            (
                _rate("Fallbacks by rung", "feed_bridge_fallback_rungs_total", "rung"),
                _rate("Rungs passed over", "feed_bridge_rungs_skipped_total", "rung", "why"),
                _rate("Troubles with lists", "feed_bridge_list_failures_total", "list", "trouble"),
                _level(
                    "Age of what is known",
                    "s",
                    "feed_bridge_trending_age_seconds",
                    "feed_bridge_recent_age_seconds",
                    "feed_bridge_history_age_seconds",
                    "feed_bridge_corrections_age_seconds",
                    "feed_bridge_experiments_age_seconds",
                    "feed_bridge_consent_age_seconds",
                ),
                _level("What is in memory", "short", "feed_bridge_recent_events", "feed_bridge_history_users"),
                _level("Memory of histories", "bytes", "feed_bridge_history_bytes", by=("instance",)),
                _level("Editors' corrections", "short", "feed_bridge_corrections", "feed_bridge_corrections_senseless"),
                _level("Users who get nothing personal", "short", "feed_bridge_consent_withheld_users"),
                _rate("Their pages", "feed_bridge_pages_withheld_total", unit="reqps"),
            ),
        ),
    ),
)

_INTERACTIONS: Final = Dashboard(
    "interactions",
    "Feed interactions",
    "Do events become durable, does Kafka take them, and do they reach the database?",
    (
        Row(
            "Ingest",
            (
                _rate("Events by what became of them", "feed_interactions_events_total", "status"),
                _rate("Events by type", "feed_interactions_events_total", "type"),
                _rate("Rejected, by field", "feed_interactions_rejected_total", "field"),
                _rate("Kept nowhere, for lack of consent", "feed_interactions_dropped_no_consent_total"),
                _graph(
                    "Until durable, p95",
                    "s",
                    (
                        _slowest("feed_interactions_publish_duration_seconds", "durability", share=0.95),
                        "{{durability}}",
                    ),
                ),
            ),
        ),
        Row(
            "The log",
            (
                _graph("Kafka can be used", "short", ("min by (job) (feed_eventlog_kafka_ready)", "{{job}}")),
                _graph(
                    "Troubles with Kafka",
                    "cps",
                    (_per_second("feed_eventlog_authentication_failures_total", "job"), "{{job}} refused"),
                    (_per_second("feed_eventlog_producer_rebuilds_total", "job"), "{{job}} producer rebuilt"),
                    (_per_second("feed_eventlog_rebalances_total", "job"), "{{job}} rebalanced"),
                ),
                _rate("Changes of the way", "feed_eventlog_switches_total", "job", "way"),
                _level("Journal on disk", "bytes", "feed_eventlog_journal_bytes", by=("job",)),
                _level("Waiting in the journal", "short", "feed_eventlog_journal_waiting_records", by=("job",)),
                _level("Age of the oldest there", "s", "feed_eventlog_journal_oldest_age_seconds", by=("job",)),
                _rate("Brought to Kafka", "feed_eventlog_relayed_records_total", "job"),
                _graph(
                    "Troubles with the journal",
                    "cps",
                    (_per_second("feed_eventlog_journal_failures_total", "job"), "{{job}} failed"),
                    (_per_second("feed_eventlog_quarantined_records_total", "job"), "{{job}} put aside"),
                ),
                _graph(
                    "Put aside, last day",
                    "bytes",
                    ("sum by (job) (increase(feed_eventlog_quarantined_bytes_total[1d]))", "{{job}}"),
                ),
            ),
        ),
        Row(
            "The sink",
            (
                _level("Lag", "s", "feed_sink_lag_seconds", by=("topic",)),
                _graph("Lag, records", "short", ("sum by (topic) (feed_sink_lag_records)", "{{topic}}")),
                _rate("Records", "feed_sink_records_total", "topic", "result"),
                _times("From the log to the database", "feed_sink_age_seconds", "topic"),
                _times("Time of a batch", "feed_sink_batch_duration_seconds", "topic"),
                _graph(
                    "Troubles",
                    "cps",
                    (_per_second("feed_sink_failures_total", "topic", "step"), "{{topic}} {{step}}"),
                    (_per_second("feed_sink_dead_letters_total", "topic", "fault"), "{{topic}} dead: {{fault}}"),
                ),
            ),
        ),
        Row(
            "Records of served pages",
            (
                _rate("Published", "feed_bridge_served_published_total"),
                _level("Waiting", "short", "feed_bridge_served_waiting", by=("instance",)),
                _rate("Lost", "feed_bridge_served_dropped_total", "why"),
            ),
        ),
    ),
)

_MODELS: Final = Dashboard(
    "models",
    "Feed models",
    "Which model serves, how old is it, how did the last training go, and how does a candidate do?",
    (
        Row(
            "Serving",
            (
                _graph(
                    "Model",
                    "short",
                    ("count by (model_version, algorithm) (feed_scorer_model_info)", "{{model_version}} {{algorithm}}"),
                ),
                _level("Age", "s", "feed_scorer_model_age_seconds", "feed_scorer_popularity_age_seconds"),
                _rate("Models offered", "feed_scorer_model_swaps_total", "result"),
                _times("Time to rank", "feed_scorer_rank_duration_seconds"),
                _graph(
                    "Users ranked for",
                    "cps",
                    (_per_second("feed_scorer_ranked_users_total", "known"), "known: {{known}}"),
                    (_per_second("feed_scorer_dropped_total"), "too late"),
                ),
            ),
        ),
        Row(
            "Candidate",
            (
                _graph(
                    "Candidate",
                    "short",
                    (
                        "count by (model_version, algorithm, mode) (feed_scorer_candidate_info)",
                        "{{mode}} {{model_version}} {{algorithm}}",
                    ),
                ),
                _level("Share of the users", "percentunit", "feed_scorer_candidate_share"),
                _rate("Candidates offered", "feed_scorer_candidate_swaps_total", "result"),
                _rate("Its rankings", "feed_scorer_candidate_rankings_total", "mode", "result"),
                _times("Its time to rank", "feed_scorer_shadow_duration_seconds"),
                _graph(
                    "In common with the live model, mean",
                    "percentunit",
                    (_mean("feed_scorer_shadow_overlap_ratio", "depth"), "best {{depth}}"),
                ),
            ),
        ),
        Row(
            "Training",
            (
                _graph(
                    "Age",
                    "s",
                    ("min(feed_trainer_good_model_age_seconds)", "since a run succeeded"),
                    ("min(feed_trainer_model_age_seconds)", "since one was made to serve"),
                    ("max(feed_trainer_heartbeat_age_seconds)", "since the run that runs lived"),
                    ("min(feed_trainer_register_age_seconds)", "since the register was read"),
                ),
                _level("The last run", "short", "feed_trainer_run_state", by=("state",)),
                _graph(
                    "Runs of the scheduler, last day",
                    "short",
                    ("sum by (outcome) (increase(feed_trainer_runs_total[1d]))", "{{outcome}}"),
                ),
                _graph(
                    "Last began, last ended, begins next",
                    "dateTimeFromNow",
                    ("max(feed_trainer_run_start_timestamp_seconds) * 1000", "began"),
                    ("max(feed_trainer_run_end_timestamp_seconds) * 1000", "ended"),
                    ("max(feed_trainer_next_run_timestamp_seconds) * 1000", "next"),
                ),
                _level("Length", "s", "feed_trainer_run_duration_seconds"),
                _level("Length of its steps", "s", "feed_trainer_step_duration_seconds", by=("step",)),
                _level("What it learned from", "short", "feed_trainer_run_data", by=("of",)),
                _level("What it measured", "short", "feed_trainer_run_metric", by=("metric",)),
                _level("To be told of it", "short", "feed_trainer_statuses_waiting", by=("destination",)),
            ),
        ),
    ),
)

_OUTCOMES: Final = Dashboard(
    "outcomes",
    "Feed experiments and outcomes",
    "What became of what was served, does the ledger add up, and what do experiments do?",
    (
        Row(
            "Outcomes",
            (
                _level("Served videos", "short", "feed_insights_served_videos"),
                _level("What became of them", "short", "feed_insights_outcomes", by=("outcome",)),
                _graph(
                    "Interactions by what they were worth, a second",
                    "cps",
                    ("max by (verdict) (deriv(feed_insights_claims[15m]))", "{{verdict}}"),
                ),
            ),
        ),
        Row(
            "The ledger",
            (
                _level("Out of balance: must be 0", "short", "feed_insights_balance"),
                _graph("Age", "s", ("min(feed_insights_ledger_age_seconds)", "age")),
                _level("Waiting and missing", "short", "feed_insights_waiting_claims", "feed_insights_missing_videos"),
                _rate("Failed attempts", "feed_insights_failures_total", "step"),
            ),
        ),
        Row(
            "Experiments",
            (
                _level("Running", "short", "feed_insights_experiments", "feed_bridge_experiments"),
                _level("Without the users that were drawn", "short", "feed_insights_experiments_mismatched"),
                _graph(
                    "Stopped for harm, last day",
                    "short",
                    ("sum(increase(feed_insights_experiments_stopped_total[1d]))", "stopped"),
                ),
            ),
        ),
        Row(
            "What is told of pages",
            (
                _rate("Events told", "feed_insights_forwarded_total", "to", "event"),
                _rate("Attempts that failed", "feed_insights_forwarding_failures_total", "to"),
                _rate("Fields that are missing or wrong", "feed_insights_event_problems_total", "event", "field"),
            ),
        ),
    ),
)

DASHBOARDS: Final = (_HEALTH, _RESILIENCE, _INTERACTIONS, _MODELS, _OUTCOMES)
