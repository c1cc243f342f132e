# The topics of any Kafka and, where it keeps its own rights (SCRAM, certificates), those. On MSK with IAM: rights = false, and ../msk.

terraform {
  required_version = ">= 1.9"
  required_providers {
    kafka = {
      source  = "Mongey/kafka"
      version = "~> 0.12"
    }
  }
}

variable "replication_factor" {
  description = "Copies of each partition."
  type        = number
  default     = 3
}

variable "min_insync_replicas" {
  description = "Copies that must hold a record before it is acknowledged."
  type        = number
  default     = 2

  validation {
    condition     = var.min_insync_replicas < var.replication_factor || var.replication_factor == 1
    error_message = "With as many as there are copies, one broker that is away stops all writing."
  }
}

variable "rights" {
  description = "Whether the rights are brought, too."
  type        = bool
  default     = true
}

module "declared" {
  source = "../declared"
}

resource "kafka_topic" "this" {
  for_each = module.declared.topics

  name               = each.key
  partitions         = each.value.partitions
  replication_factor = var.replication_factor
  config             = merge(each.value.config, { "min.insync.replicas" = tostring(var.min_insync_replicas) })

  lifecycle {
    # Users would move between partitions, which breaks their order, or what they did would be gone.
    prevent_destroy = true
    ignore_changes  = [partitions]
  }
}

resource "kafka_acl" "this" {
  for_each = {
    for acl in var.rights ? module.declared.acls : [] :
    "${acl.principal} ${acl.operation} ${acl.resource_type} ${acl.resource_name}" => acl
  }

  acl_principal                = "User:${each.value.principal}"
  acl_host                     = "*"
  acl_operation                = each.value.operation
  acl_permission_type          = "Allow"
  resource_type                = each.value.resource_type
  resource_name                = each.value.resource_name
  resource_pattern_type_filter = "Literal"

  depends_on = [kafka_topic.this]
}
