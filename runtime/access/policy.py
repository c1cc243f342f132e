"""Who may call what: a row for each RPC and each REST route of every process.

A process that offers something without a row here does not start. A row for something new is one line: `PUBLIC`,
`Rule(scope)` for who holds the scope, or `Rule(scope, user_ids)` where users may call too, each for himself. The edge
holds an RPC to its row. A REST handler that reads a user's id calls `access.require_acting_for` once it has read it:
tests/integration/access calls every row as another user, and fails when it does not.
"""

from collections.abc import Mapping
from typing import Final, TypeAlias

from runtime.access.rules import ADMIN, PUBLIC, Rule

Policy: TypeAlias = Mapping[str, Rule]

_FEED: Final = Rule("feed:read:any", "user_id")
_EVENT: Final = Rule("interactions:write:any", "interaction.user_id")
_EVENTS: Final = Rule("interactions:write:any", "interactions.user_id")
# An outcome names a page; whose it was the ledger knows.
_OUTCOME: Final = Rule("outcomes:write:any", "")
_INSIGHTS: Final = Rule("insights:read")
_CORRECTIONS: Final = Rule("corrections:write")
_EXPERIMENTS: Final = Rule("experiments:write")
_MODELS: Final = Rule("models:promote")
_SCORING: Final = Rule("scoring:rank")

POLICY: Final[Policy] = {
    # Every process
    "/grpc.health.v1.Health/Check": PUBLIC,
    "/grpc.health.v1.Health/List": PUBLIC,
    "/grpc.health.v1.Health/Watch": PUBLIC,
    "GET /healthz": PUBLIC,
    "GET /readyz": PUBLIC,
    "GET /metrics": PUBLIC,
    "GET /openapi.json": PUBLIC,
    # bridge
    "/feed.recommendations.v1.RecommendationService/GetRecommendations": _FEED,
    "/feed.recommendations.v1.RecommendationService/ExplainRecommendation": _FEED,
    "GET /feed/recommendations": _FEED,
    "GET /feed/explanation": _FEED,
    # interactions
    "/feed.interactions.v1.InteractionService/RecordInteraction": _EVENT,
    "/feed.interactions.v1.InteractionService/RecordInteractions": _EVENTS,
    "/feed.interactions.v1.InteractionService/StreamInteractions": _EVENT,
    "POST /feed/interactions": _EVENTS,
    "POST /api/track": _EVENTS,
    "OPTIONS /api/track": PUBLIC,  # a browser asks for leave before it may show who it is
    "GET /tracker.js": PUBLIC,
    # insights
    "/feed.insights.v1.OutcomeService/TrackOutcome": _OUTCOME,
    "/feed.insights.v1.OutcomeService/GetAcceptanceRate": _INSIGHTS,
    "/feed.insights.v1.OutcomeService/GetAlgorithmPerformance": _INSIGHTS,
    "POST /feed/outcomes": _OUTCOME,
    "GET /feed/acceptance-rate": _INSIGHTS,
    "GET /feed/algorithm-performance": _INSIGHTS,
    "/feed.insights.v1.OutcomeService/GetFunnel": _INSIGHTS,
    "/feed.insights.v1.OutcomeService/GetTrends": _INSIGHTS,
    "GET /feed/funnel": _INSIGHTS,
    "GET /feed/trends": _INSIGHTS,
    "/feed.insights.v1.CorrectionService/CreateCorrection": _CORRECTIONS,
    "/feed.insights.v1.CorrectionService/ListCorrections": _INSIGHTS,
    "/feed.insights.v1.CorrectionService/DeactivateCorrection": _CORRECTIONS,
    "/feed.insights.v1.CorrectionService/GetCorrectionEffect": _INSIGHTS,
    "POST /feed/corrections": _CORRECTIONS,
    "GET /feed/corrections": _INSIGHTS,
    "POST /feed/corrections/{correctionId}/deactivate": _CORRECTIONS,
    "GET /feed/corrections/{correctionId}/effect": _INSIGHTS,
    # insights, for people
    "GET /": _INSIGHTS,
    "GET /algorithms": _INSIGHTS,
    "GET /trends": _INSIGHTS,
    "GET /experiments": _INSIGHTS,
    "GET /experiments/new": _EXPERIMENTS,
    "POST /experiments/new": _EXPERIMENTS,
    "GET /experiments/named/{name}": _INSIGHTS,
    "GET /experiments/named/{name}/start": _EXPERIMENTS,
    "POST /experiments/named/{name}/start": _EXPERIMENTS,
    "GET /experiments/named/{name}/stop": _EXPERIMENTS,
    "POST /experiments/named/{name}/stop": _EXPERIMENTS,
    "GET /models": _INSIGHTS,
    "GET /models/{version}/serve": _MODELS,
    "POST /models/{version}/serve": _MODELS,
    "GET /corrections": _INSIGHTS,
    "GET /corrections/new": _CORRECTIONS,
    "POST /corrections/new": _CORRECTIONS,
    "GET /corrections/{correction_id}": _INSIGHTS,
    "GET /corrections/{correction_id}/off": _CORRECTIONS,
    "POST /corrections/{correction_id}/off": _CORRECTIONS,
    "GET /explain": _INSIGHTS,
    "GET /explain/{recommendation_id}": _INSIGHTS,
    "GET /sign-in": PUBLIC,
    "POST /sign-in": PUBLIC,
    "GET /sign-in/issuer": PUBLIC,
    "GET /sign-in/issuer/back": PUBLIC,
    "POST /sign-out": _INSIGHTS,
    "GET /assets/{digest}/{name:path}": PUBLIC,
    "GET /{path:path}": PUBLIC,  # says that there is no such page
    # scorer
    "/feed.scoring.v1.ScoringService/Rank": _SCORING,
    "/feed.scoring.v1.ScoringService/RankBatch": _SCORING,
    "/feed.scoring.v1.ScoringService/Explain": _SCORING,
    "/feed.scoring.v1.ScoringService/GetModelInfo": _SCORING,
}

# What there is to be given.
SCOPES: Final = frozenset({ADMIN, *(rule.scope for rule in POLICY.values() if rule.scope)})
