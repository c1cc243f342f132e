// Asks for a feed and says what the user did, as a mobile back end would.
//
// Prints what came of each call, a JSON line each. docs/clients/README.md has the commands.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // what healthCheckConfig needs
	"google.golang.org/protobuf/types/known/timestamppb"

	interactions "feed.example/client/gen/feed/interactions/v1"
	recommendations "feed.example/client/gen/feed/recommendations/v1"
)

// With these a bridge that is restarted costs the caller nothing: docs/api.md, "Client settings".
const serviceConfig = `{
  "loadBalancingConfig": [{"round_robin": {}}],
  "healthCheckConfig": {"serviceName": ""},
  "methodConfig": [{
    "name": [{}],
    "retryPolicy": {
      "maxAttempts": 5, "initialBackoff": "0.02s", "maxBackoff": "0.2s", "backoffMultiplier": 2,
      "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"]
    }
  }],
  "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1}
}`

const userID = "u1"

func main() {
	log.SetFlags(0)
	feed := recommendations.NewRecommendationServiceClient(dial(os.Args[1]))
	events := interactions.NewInteractionServiceClient(dial(os.Args[2]))

	page := ask(feed, &recommendations.GetRecommendationsRequest{UserId: userID, PageSize: 3, Explain: true})
	say("page", map[string]any{
		"videos": videos(page), "source": page.GetSource().String(), "reason": page.GetFallbackReason().String(),
		"explanation": page.GetRecommendations()[0].GetExplanation(),
	})
	next := ask(feed, &recommendations.GetRecommendationsRequest{
		UserId: userID, PageSize: 3, PageToken: page.GetNextPageToken(),
	})
	say("next", map[string]any{"videos": videos(next)})

	liked := watched(page, 0, interactions.InteractionType_LIKE)
	for range 2 { // sent again, it is still one event
		record(events, liked)
	}
	bad := watched(page, 1, interactions.InteractionType_VIEW)
	bad.WatchTimeS = -1
	recordBatch(events, watched(page, 1, interactions.InteractionType_VIEW), bad)
}

// dial makes a channel; it connects with the first call.
func dial(address string) *grpc.ClientConn {
	channel, err := grpc.NewClient("dns:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()), // with TLS: credentials.NewTLS(…)
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, MaxDelay: 500 * time.Millisecond},
			MinConnectTimeout: time.Second,
		}))
	if err != nil {
		log.Fatal(err)
	}
	return channel
}

// ask gets a page. The bridge answers in 150 ms whatever happens behind it; the rest of the time is for the network.
func ask(
	feed recommendations.RecommendationServiceClient, request *recommendations.GetRecommendationsRequest,
) *recommendations.GetRecommendationsResponse {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	page, err := feed.GetRecommendations(ctx, request)
	if err != nil {
		log.Fatal(err)
	}
	return page
}

// watched makes an event of a video of a page, with all that ties it to the page. Keep the event until it is acknowledged.
func watched(
	page *recommendations.GetRecommendationsResponse, place int, what interactions.InteractionType,
) *interactions.Interaction {
	video := page.GetRecommendations()[place]
	score := float64(video.GetScore())
	return &interactions.Interaction{
		EventId: uuid.NewString(), UserId: userID, VideoId: video.GetVideoId(), InteractionType: what, WatchTimeS: 12.5,
		Timestamp: timestamppb.Now(), FeedSessionId: page.GetFeedSessionId(), RecommendationId: page.GetRecommendationId(),
		Position: video.GetPosition(), Algorithm: page.GetAlgorithm(), RecommendationScore: &score,
		ModelVersion: page.GetModelVersion(), Experiments: page.GetExperiments(), ServedToken: video.GetServedToken(),
	}
}

func record(events interactions.InteractionServiceClient, event *interactions.Interaction) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	answer, err := events.RecordInteraction(ctx, &interactions.RecordInteractionRequest{Interaction: event})
	if err != nil {
		log.Fatal(err) // UNAVAILABLE: send the same event again
	}
	say("recorded", map[string]any{
		"eventId": event.GetEventId(), "status": answer.GetResult().GetStatus().String(),
		"durability": answer.GetDurability().String(),
	})
}

// recordBatch sends several events; each has its own result.
func recordBatch(events interactions.InteractionServiceClient, batch ...*interactions.Interaction) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	answer, err := events.RecordInteractions(ctx, &interactions.RecordInteractionsRequest{Interactions: batch})
	if err != nil {
		log.Fatal(err)
	}
	for _, result := range answer.GetResults() {
		say("batch", map[string]any{
			"eventId": result.GetEventId(), "status": result.GetStatus().String(), "field": result.GetField(),
		})
	}
}

func videos(page *recommendations.GetRecommendationsResponse) []string {
	var ids []string
	for _, video := range page.GetRecommendations() {
		ids = append(ids, video.GetVideoId())
	}
	return ids
}

func say(call string, what map[string]any) {
	what["call"] = call
	if err := json.NewEncoder(os.Stdout).Encode(what); err != nil {
		log.Fatal(err)
	}
}
