"""What the script does to whole pages, in front of the real service."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fakes.errors import ScriptedError
from fakes.stage import Stage
from feed.recommendations.v1 import recommendations_pb2 as pb
from feed.recommendations.v1 import recommendations_pb2_grpc

AnswerT = TypeVar("AnswerT")

# How long after the deadline a late answer comes.
LATE_S: Final = 0.05


class PageActs:
    """Plays the script's acts on pages.

    Args:
        stage: The script.
        deadline_s: The bridge's own deadline, in seconds.
    """

    def __init__(self, stage: Stage, deadline_s: float) -> None:
        self._stage = stage
        self._deadline_s = deadline_s

    async def perform(self, answer: Callable[[], Awaitable[AnswerT]], caller_remaining_s: float | None) -> AnswerT:
        """Answers as the script wants it.

        Args:
            answer: Makes the page.
            caller_remaining_s: What the caller has left, in seconds; None: it set no deadline.

        Raises:
            ScriptedError: When the script says that there is no page.
        """
        loop = asyncio.get_running_loop()
        start = loop.time()
        act, least_s = self._stage.next_page()
        if act.late:
            least_s = min(self._deadline_s, caller_remaining_s or self._deadline_s) + LATE_S
        if act.refusal:
            await asyncio.sleep(least_s)
            raise ScriptedError(act.refusal)
        page = await answer()
        await asyncio.sleep(max(0.0, start + least_s - loop.time()))
        return page


class ScriptedPages(recommendations_pb2_grpc.RecommendationServiceServicer):
    """The gRPC side.

    Args:
        acts: The acts.
        real: The bridge's own servicer.
    """

    def __init__(self, acts: PageActs, real: Any) -> None:
        self._acts = acts
        self._real = real

    async def GetRecommendations(  # noqa: N802  # the contract's name
        self, request: pb.GetRecommendationsRequest, context: Any
    ) -> pb.GetRecommendationsResponse:
        """Answers with a page, if the script lets it."""
        return await self._acts.perform(
            lambda: self._real.GetRecommendations(request, context), context.time_remaining()
        )

    async def ExplainRecommendation(  # noqa: N802
        self, request: pb.ExplainRecommendationRequest, context: Any
    ) -> pb.ExplainRecommendationResponse:
        """Answers as the bridge does."""
        response: pb.ExplainRecommendationResponse = await self._real.ExplainRecommendation(request, context)
        return response


def scripted_route(acts: PageActs, real: BaseRoute) -> BaseRoute:
    """Returns the HTTP route with the script in front of it."""
    if not isinstance(real, Route):
        return real

    async def endpoint(request: Request) -> Response:
        return await acts.perform(lambda: real.endpoint(request), None)

    return Route(real.path, endpoint, methods=sorted(real.methods or ()))
