# `terraform test`: no provider is needed.

run "the_producer_may_write_its_topic_and_nothing_else" {
  command = plan

  variables {
    cluster_arn = "arn:aws:kafka:eu-central-1:123456789012:cluster/feed/1f2e-3"
  }

  assert {
    condition = jsondecode(output.policies["feed-rec-producer"]) == {
      Version = "2012-10-17"
      Statement = [
        {
          Effect   = "Allow"
          Action   = ["kafka-cluster:Connect", "kafka-cluster:WriteDataIdempotently"]
          Resource = "arn:aws:kafka:eu-central-1:123456789012:cluster/feed/1f2e-3"
        },
        {
          Effect   = "Allow"
          Action   = ["kafka-cluster:DescribeTopic", "kafka-cluster:WriteData"]
          Resource = "arn:aws:kafka:eu-central-1:123456789012:topic/feed/1f2e-3/feed.interactions.v1"
        },
      ]
    }
    error_message = output.policies["feed-rec-producer"]
  }

  assert {
    condition     = !anytrue([for policy in values(output.policies) : strcontains(policy, "*")])
    error_message = "A policy has a wildcard."
  }
}

run "a_cluster_is_named_exactly" {
  command = plan

  variables {
    cluster_arn = "arn:aws:kafka:eu-central-1:123456789012:cluster/feed/*"
  }

  expect_failures = [var.cluster_arn]
}

run "without_a_cluster_there_are_no_policies" {
  command = plan

  assert {
    condition     = length(output.policies) == 0 && length(output.topics) > 0
    error_message = "Topics are declared for any Kafka."
  }
}
