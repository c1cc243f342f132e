# What is declared in deploy/topics.toml, the tables and the alerts, and the IAM policies that follow from it. No provider.

terraform {
  required_version = ">= 1.9"
}

variable "cluster_arn" {
  description = "ARN of the MSK cluster that policies are for, arn:aws:kafka:REGION:ACCOUNT:cluster/NAME/UUID; null: there are no policies."
  type        = string
  default     = null

  validation {
    condition     = var.cluster_arn == null || can(regex("^arn:aws[a-z-]*:kafka:[a-z0-9-]+:[0-9]{12}:cluster/[^/*]+/[^/*]+$", var.cluster_arn))
    error_message = "Must be the ARN of one MSK cluster, without wildcards."
  }
}

locals {
  declared = jsondecode(file("${path.module}/../../declared.json"))

  policies = var.cluster_arn == null ? {} : {
    for principal, statements in local.declared.msk : principal => jsonencode({
      Version = "2012-10-17"
      Statement = [
        for statement in statements : {
          Effect = "Allow"
          Action = statement.actions
          Resource = statement.resource == "cluster" ? var.cluster_arn : format(
            "%s/%s", replace(var.cluster_arn, ":cluster/", ":${statement.resource}/"), statement.name
          )
        }
      ]
    })
  }
}

output "topics" {
  description = "Topics by name: partitions, config."
  value       = local.declared.topics
}

output "acls" {
  description = "Kafka's own rights, where no IAM is."
  value       = local.declared.acls
}

output "policies" {
  description = "IAM policy documents by principal."
  value       = local.policies
}

output "tables" {
  description = "Columns of Snowflake's tables, by table."
  value       = local.declared.tables
}

output "monitors" {
  description = "Datadog's monitors by alert."
  value       = local.declared.monitors
}
