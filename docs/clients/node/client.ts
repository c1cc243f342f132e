/**
 * Asks for a feed and says what the user did, as a mobile back end would.
 *
 * Prints what came of each call, a JSON line each. docs/clients/README.md has the commands.
 */
import { randomUUID } from "node:crypto";
import { promisify } from "node:util";
import { type CallOptions, type ChannelOptions, type Client, credentials, Metadata } from "@grpc/grpc-js";
import {
  durabilityToJSON,
  type Interaction,
  InteractionServiceClient,
  InteractionType,
  type RecordInteractionResponse,
  type RecordInteractionsResponse,
  recordStatusToJSON,
} from "./gen/feed/interactions/v1/interactions.js";
import {
  fallbackReasonToJSON,
  GetRecommendationsRequest,
  type GetRecommendationsResponse,
  RecommendationServiceClient,
  sourceToJSON,
} from "./gen/feed/recommendations/v1/recommendations.js";

const USER_ID = "u1";

// With these a bridge that is restarted costs the caller nothing: docs/api.md, "Client settings".
const OPTIONS: ChannelOptions = {
  "grpc.service_config": JSON.stringify({
    loadBalancingConfig: [{ round_robin: {} }],
    methodConfig: [
      {
        name: [{}],
        retryPolicy: {
          maxAttempts: 5,
          initialBackoff: "0.02s",
          maxBackoff: "0.2s",
          backoffMultiplier: 2,
          retryableStatusCodes: ["UNAVAILABLE", "CANCELLED"],
        },
      },
    ],
    retryThrottling: { maxTokens: 100, tokenRatio: 0.1 },
  }),
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 500,
};

type Method<Q, A> = (q: Q, m: Metadata, o: CallOptions, done: (error: Error | null, answer: A) => void) => unknown;

/** Makes one call, with a time limit; with tokens, `authorization: Bearer …` goes into its metadata. */
function call<Q, A>(client: Client, method: Method<Q, A>, request: Q, timeoutS: number): Promise<A> {
  const deadline = new Date(Date.now() + timeoutS * 1000);
  return promisify(method.bind(client) as Method<Q, A>)(request, new Metadata(), { deadline }) as Promise<A>;
}

/** Makes an event of a video of a page, with all that ties it to the page. Keep the event until it is acknowledged. */
function watched(page: GetRecommendationsResponse, place: number, interactionType: InteractionType): Interaction {
  const video = page.recommendations[place];
  return {
    eventId: randomUUID(),
    userId: USER_ID,
    videoId: video.videoId,
    interactionType,
    watchTimeS: 12.5,
    timestamp: new Date(),
    feedSessionId: page.feedSessionId,
    recommendationId: page.recommendationId,
    position: video.position,
    algorithm: page.algorithm,
    recommendationScore: video.score,
    modelVersion: page.modelVersion,
    experiments: page.experiments,
    servedToken: video.servedToken,
    metadata: {},
  };
}

function say(what: Record<string, unknown>): void {
  console.log(JSON.stringify(what));
}

async function main(bridge: string, ingest: string): Promise<void> {
  const feed = new RecommendationServiceClient(bridge, credentials.createInsecure(), OPTIONS);
  const events = new InteractionServiceClient(ingest, credentials.createInsecure(), OPTIONS);
  // The bridge answers in 150 ms whatever happens behind it; the rest of the time is for the network.
  const ask = (request: Partial<GetRecommendationsRequest>) =>
    call<GetRecommendationsRequest, GetRecommendationsResponse>(
      feed, feed.getRecommendations, GetRecommendationsRequest.fromPartial({ userId: USER_ID, ...request }), 5);

  const page = await ask({ pageSize: 3, explain: true });
  const videos = (of: GetRecommendationsResponse) => of.recommendations.map((each) => each.videoId);
  say({
    call: "page",
    videos: videos(page),
    source: sourceToJSON(page.source),
    reason: fallbackReasonToJSON(page.fallbackReason),
    explanation: page.recommendations[0].explanation,
  });
  say({ call: "next", videos: videos(await ask({ pageSize: 3, pageToken: page.nextPageToken })) });

  const liked = watched(page, 0, InteractionType.LIKE);
  for (let sent = 0; sent < 2; sent++) { // sent again, it is still one event
    const answer: RecordInteractionResponse = await call(events, events.recordInteraction, { interaction: liked }, 10);
    say({
      call: "recorded",
      eventId: liked.eventId,
      status: recordStatusToJSON(answer.result!.status),
      durability: durabilityToJSON(answer.durability),
    });
  }

  const bad = { ...watched(page, 1, InteractionType.VIEW), watchTimeS: -1 };
  const interactions = [watched(page, 1, InteractionType.VIEW), bad];
  const answer: RecordInteractionsResponse = await call(events, events.recordInteractions, { interactions }, 10);
  for (const { eventId, status, field } of answer.results) {
    say({ call: "batch", eventId, status: recordStatusToJSON(status), field });
  }
  feed.close();
  events.close();
}

await main(process.argv[2], process.argv[3]);
