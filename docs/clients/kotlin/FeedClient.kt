// Written, not tested: asks for a feed and says what the user did, with grpc-kotlin.
package com.example.feed

import com.google.protobuf.util.Timestamps
import feed.interactions.v1.InteractionServiceGrpcKt.InteractionServiceCoroutineStub
import feed.interactions.v1.Interactions.Interaction
import feed.interactions.v1.Interactions.InteractionType
import feed.interactions.v1.Interactions.RecordStatus
import feed.interactions.v1.interaction
import feed.interactions.v1.recordInteractionsRequest
import feed.recommendations.v1.RecommendationServiceGrpcKt.RecommendationServiceCoroutineStub
import feed.recommendations.v1.Recommendations.GetRecommendationsResponse
import feed.recommendations.v1.getRecommendationsRequest
import io.grpc.ManagedChannel
import io.grpc.ManagedChannelBuilder
import java.util.UUID
import java.util.concurrent.TimeUnit

private val RETRIES = mapOf(
    "methodConfig" to listOf(
        mapOf(
            "name" to listOf(emptyMap<String, Any>()),
            "retryPolicy" to mapOf(
                "maxAttempts" to 5.0, "initialBackoff" to "0.02s", "maxBackoff" to "0.2s", "backoffMultiplier" to 2.0,
                "retryableStatusCodes" to listOf("UNAVAILABLE", "CANCELLED"),
            ),
        ),
    ),
)

/** A channel; usePlaintext() only where there is no TLS. */
fun channel(target: String): ManagedChannel = ManagedChannelBuilder.forTarget(target)
    .usePlaintext()
    .defaultLoadBalancingPolicy("round_robin")
    .defaultServiceConfig(RETRIES)
    .enableRetry()
    .build()

class FeedClient(bridge: ManagedChannel, ingest: ManagedChannel, private val userId: String) {
    private val feed = RecommendationServiceCoroutineStub(bridge)
    private val events = InteractionServiceCoroutineStub(ingest)

    /** Asks for a page: the first without a token, each further one with `nextPageToken` of the one before. */
    suspend fun page(token: String = ""): GetRecommendationsResponse =
        feed.withDeadlineAfter(2, TimeUnit.SECONDS).getRecommendations(
            getRecommendationsRequest {
                userId = this@FeedClient.userId
                pageSize = 20
                pageToken = token
                explain = true
            },
        )

    /** Makes an event of a video of a page, with all that ties it to the page. Keep it until it is acknowledged. */
    fun watched(page: GetRecommendationsResponse, place: Int, what: InteractionType, seconds: Double): Interaction {
        val video = page.getRecommendations(place)
        return interaction {
            eventId = UUID.randomUUID().toString()
            userId = this@FeedClient.userId
            videoId = video.videoId
            interactionType = what
            watchTimeS = seconds
            timestamp = Timestamps.fromMillis(System.currentTimeMillis())
            feedSessionId = page.feedSessionId
            recommendationId = page.recommendationId
            position = video.position
            algorithm = page.algorithm
            recommendationScore = video.score.toDouble()
            modelVersion = page.modelVersion
            experiments.addAll(page.experimentsList)
            servedToken = video.servedToken
        }
    }

    /** Sends up to 100 events; returns those that were refused, with `field` and `reason`. On an error, send all again. */
    suspend fun record(batch: List<Interaction>) =
        events.withDeadlineAfter(10, TimeUnit.SECONDS)
            .recordInteractions(recordInteractionsRequest { interactions.addAll(batch) })
            .resultsList.filter { it.status == RecordStatus.REJECTED }
}
