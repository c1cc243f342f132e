// Written, not tested: asks for a feed and says what the user did, with grpc-swift 2.
import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2
import SwiftProtobuf

typealias Page = Feed_Recommendations_V1_GetRecommendationsResponse
typealias Event = Feed_Interactions_V1_Interaction

struct FeedClient<Transport: ClientTransport> {
  let feed: Feed_Recommendations_V1_RecommendationService.Client<Transport>
  let events: Feed_Interactions_V1_InteractionService.Client<Transport>
  let userID: String

  init(bridge: GRPCClient<Transport>, ingest: GRPCClient<Transport>, userID: String) {
    feed = .init(wrapping: bridge)
    events = .init(wrapping: ingest)
    self.userID = userID
  }

  /// Asks for a page: the first without a token, each further one with `nextPageToken` of the one before.
  func page(token: String = "") async throws -> Page {
    var options = CallOptions.defaults
    options.timeout = .seconds(2)
    let request = Feed_Recommendations_V1_GetRecommendationsRequest.with {
      $0.userID = userID
      $0.pageSize = 20
      $0.pageToken = token
      $0.explain = true
    }
    return try await feed.getRecommendations(request, options: options)
  }

  /// Makes an event of a video of a page, with all that ties it to the page. Keep it until it is acknowledged.
  func watched(_ page: Page, place: Int, _ what: Feed_Interactions_V1_InteractionType, seconds: Double) -> Event {
    let video = page.recommendations[place]
    return .with {
      $0.eventID = UUID().uuidString.lowercased()
      $0.userID = userID
      $0.videoID = video.videoID
      $0.interactionType = what
      $0.watchTimeS = seconds
      $0.timestamp = .init(date: Date())
      $0.feedSessionID = page.feedSessionID
      $0.recommendationID = page.recommendationID
      $0.position = video.position
      $0.algorithm = page.algorithm
      $0.recommendationScore = Double(video.score)
      $0.modelVersion = page.modelVersion
      $0.experiments = page.experiments
      $0.servedToken = video.servedToken
    }
  }

  /// Sends up to 100 events; returns those that were refused, with `field` and `reason`. On an error, send all again.
  func record(_ batch: [Event]) async throws -> [Feed_Interactions_V1_RecordResult] {
    var options = CallOptions.defaults
    options.timeout = .seconds(10)
    let request = Feed_Interactions_V1_RecordInteractionsRequest.with { $0.interactions = batch }
    return try await events.recordInteractions(request, options: options).results.filter { $0.status == .rejected }
  }
}

/// Runs with both connections open. With TLS: `transportSecurity: .tls`.
func withFeedClient(
  bridge: String, ingest: String, userID: String,
  _ body: @Sendable (FeedClient<HTTP2ClientTransport.Posix>) async throws -> Void
) async throws {
  func transport(_ host: String, _ port: Int) throws -> HTTP2ClientTransport.Posix {
    try .http2NIOPosix(target: .dns(host: host, port: port), transportSecurity: .plaintext)
  }
  try await withGRPCClient(transport: transport(bridge, 50051)) { toBridge in
    try await withGRPCClient(transport: transport(ingest, 50053)) { toIngest in
      try await body(FeedClient(bridge: toBridge, ingest: toIngest, userID: userID))
    }
  }
}
