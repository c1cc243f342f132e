"""People who scroll: page after page, at whichever bridge answers; and what was wrong with what they got."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import grpc

from feed.recommendations.v1 import recommendations_pb2 as pb
from feed.recommendations.v1 import recommendations_pb2_grpc
from tests.chaos.callers import RECONNECT
from tests.chaos.watching import REFUSALS

PAGE_SIZE: Final = 20
# Far beyond the bridge's own 150 ms, so that a busy machine is no fault of the bridge.
CALL_TIMEOUT_S: Final = 10.0
# A bridge is back from a restart well within this, also on a busy machine.
LONGEST_OUTAGE_S: Final = 90.0
PAUSE_S: Final = 0.05

# The connection is gone, and with it the call: a client asks again, and elsewhere.
LOST: Final = {grpc.StatusCode.UNAVAILABLE}

Stub: TypeAlias = "recommendations_pb2_grpc.RecommendationServiceAsyncStub"  # known to type checkers only


@dataclass
class Scroll:
    """What one person got.

    Args:
        user_id: Who.
        pages: The pages, in order.
        non_ok: Statuses that a client need not expect.
        lost: Calls that lost their bridge and were made again.
        shed: Calls that were refused for overload and were made again.
    """

    user_id: str
    pages: list[pb.GetRecommendationsResponse] = field(default_factory=list)
    non_ok: list[str] = field(default_factory=list)
    lost: int = 0
    shed: int = 0

    @property
    def video_ids(self) -> list[str]:
        """The videos, in order."""
        return [item.video_id for page in self.pages for item in page.recommendations]

    def repeats(self) -> int:
        """Counts the videos that came again."""
        return len(self.video_ids) - len(set(self.video_ids))

    def gaps(self, catalogue: int) -> list[str]:
        """Says where places of the session are missing, or where it ended before its time.

        Args:
            catalogue: How many videos there are: only with fewer of them left a page may be shorter.
        """
        found, place = [], 0
        for page in self.pages:
            positions = [item.position for item in page.recommendations]
            due = min(PAGE_SIZE, catalogue - place)
            if positions != list(range(place + 1, place + 1 + due)):
                found.append(f"{self.user_id}: {positions} after {place}, due are {due}")
            place += len(positions)
            if not page.next_page_token and place < catalogue:
                found.append(f"{self.user_id}: no token after {place} videos")
        return found


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How fast people scroll.

    Args:
        think_s: How long a page is looked at, on average, in seconds.
        spread_s: Within which time they come, in seconds.
    """

    think_s: float
    spread_s: float


class Bridges:
    """Several bridges as one client knows them: a call that loses its bridge is made again at the next, unchanged.

    Args:
        stubs: Theirs.
    """

    def __init__(self, stubs: Sequence[Stub]) -> None:
        self._stubs = stubs
        self._pages = 0
        self._came = asyncio.Condition()

    async def served(self, pages: int) -> None:
        """Waits until so many pages have come."""
        async with self._came:
            await self._came.wait_for(lambda: self._pages >= pages)

    async def page(self, request: pb.GetRecommendationsRequest, scroll: Scroll, first: int) -> bool:
        """Asks for a page, first at the bridge of this number; says whether it came."""
        end = asyncio.get_running_loop().time() + LONGEST_OUTAGE_S
        for number in itertools.count(first):
            try:
                page = await self._stubs[number % len(self._stubs)].GetRecommendations(request, timeout=CALL_TIMEOUT_S)
            except grpc.aio.AioRpcError as error:
                if not self._may_be_asked_again(error, scroll) or asyncio.get_running_loop().time() > end:
                    scroll.non_ok.append(f"{scroll.user_id}: {error.code().name} {error.details()}")
                    return False
                await asyncio.sleep(PAUSE_S)
            else:
                scroll.pages.append(page)
                await self._count_page()
                return True
        raise AssertionError("it goes on until it returns")

    async def _count_page(self) -> None:
        self._pages += 1
        async with self._came:
            self._came.notify_all()

    @staticmethod
    def _may_be_asked_again(error: grpc.aio.AioRpcError, scroll: Scroll) -> bool:
        scroll.lost += error.code() in LOST
        scroll.shed += error.code() in REFUSALS
        return error.code() in LOST | REFUSALS


@asynccontextmanager
async def bridges_at(*targets: str) -> AsyncIterator[Bridges]:
    """Connects to bridges."""
    options = list({**RECONNECT, "grpc.use_local_subchannel_pool": 1}.items())
    channels = [grpc.aio.insecure_channel(target, options=options) for target in targets]
    yield Bridges([recommendations_pb2_grpc.RecommendationServiceStub(channel) for channel in channels])
    for channel in channels:
        await channel.close()


async def scroll(bridges: Bridges, user_id: str, pages: int, think_s: float = 0.0) -> Scroll:
    """Scrolls some pages, or to the end of the catalogue, each time at a bridge drawn by lot."""
    got = Scroll(user_id)
    request = pb.GetRecommendationsRequest(user_id=user_id, page_size=PAGE_SIZE)
    for number in range(pages):
        if number:
            await asyncio.sleep(think_s * random.uniform(0.5, 1.5))
        if not await bridges.page(request, got, random.randrange(2)) or not got.pages[-1].next_page_token:
            break
        request.page_token = got.pages[-1].next_page_token
    return got


async def crowd(
    bridges: Bridges, user_ids: Iterator[str], people: int, pages: int, rhythm: Rhythm, trouble: asyncio.Task[None]
) -> list[Scroll]:
    """Lets people scroll at the same time, one coming after the other; whoever has ended is followed by another one
    as long as there is trouble.

    Args:
        bridges: Whom they ask.
        user_ids: They; enough of them.
        people: How many scroll at a time.
        pages: How many pages each of them looks at.
        rhythm: How fast.
        trouble: What happens meanwhile.
    """

    async def come(after_s: float) -> list[Scroll]:
        await asyncio.sleep(after_s)
        got = [await scroll(bridges, next(user_ids), pages, rhythm.think_s)]
        while not trouble.done():
            got.append(await scroll(bridges, next(user_ids), pages, rhythm.think_s))
        return got

    step_s = rhythm.spread_s / people
    return list(itertools.chain(*await asyncio.gather(*(come(number * step_s) for number in range(people)))))


async def at_intervals(bridges: Bridges, pages: int, faults: Sequence[Callable[[], None]]) -> None:
    """Does one thing after the other while pages are served, evenly over all of them.

    Args:
        bridges: Where the pages are counted.
        pages: How many there will be.
        faults: What is done; each in a thread, the next not before it has ended.
    """
    for number, fault in enumerate(faults, 1):
        await bridges.served(pages * number // (len(faults) + 1))
        await asyncio.to_thread(fault)


def sources(scrolls: Collection[Scroll]) -> Iterator[str]:
    """Returns who ranked the pages."""
    return (pb.Source.Name(page.source) for each in scrolls for page in each.pages)


def models(scrolls: Collection[Scroll]) -> set[str]:
    """Returns the models that ranked pages."""
    return {page.model_version for each in scrolls for page in each.pages if page.model_version}
