# A role for each principal of deploy/topics.toml on an MSK cluster with IAM; feed-rec-producer is the one of `feed interactions`.

terraform {
  required_version = ">= 1.9"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.80, < 7.0"
    }
  }
}

variable "cluster_arn" {
  description = "ARN of the MSK cluster."
  type        = string
}

variable "oidc_provider_arn" {
  description = "ARN of the OIDC provider of the Kubernetes cluster (EKS)."
  type        = string
}

variable "service_accounts" {
  description = "Who may be whom: NAMESPACE:SERVICEACCOUNT by principal. A principal that is not named has no role."
  type        = map(string)
  default = {
    feed-rec-producer = "feed:feed-interactions"
    feed-rec-bridge   = "feed:feed-bridge"
    feed-rec-sink     = "feed:feed-sink"
  }

  validation {
    condition     = alltrue([for account in values(var.service_accounts) : can(regex("^[a-z0-9-]+:[a-z0-9-]+$", account))])
    error_message = "Each must be NAMESPACE:SERVICEACCOUNT, without wildcards."
  }
}

module "declared" {
  source      = "../declared"
  cluster_arn = var.cluster_arn
}

locals {
  # What AWS calls the issuer in conditions: what stands after oidc-provider/.
  issuer = split("oidc-provider/", var.oidc_provider_arn)[1]
}

resource "aws_iam_role" "this" {
  for_each = var.service_accounts

  name = each.key
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = var.oidc_provider_arn }
      Condition = {
        StringEquals = {
          "${local.issuer}:aud" = "sts.amazonaws.com"
          "${local.issuer}:sub" = "system:serviceaccount:${each.value}"
        }
      }
    }]
  })
}

# Exclusive: what somebody adds by hand goes away again.
resource "aws_iam_role_policy" "this" {
  for_each = var.service_accounts

  name   = "kafka"
  role   = aws_iam_role.this[each.key].id
  policy = module.declared.policies[each.key]
}

resource "aws_iam_role_policies_exclusive" "this" {
  for_each = var.service_accounts

  role_name    = aws_iam_role.this[each.key].name
  policy_names = [aws_iam_role_policy.this[each.key].name]
}

resource "aws_iam_role_policy_attachments_exclusive" "this" {
  for_each = var.service_accounts

  role_name   = aws_iam_role.this[each.key].name
  policy_arns = []
}

output "roles" {
  description = "ARNs by principal, for the annotation eks.amazonaws.com/role-arn of the service accounts."
  value       = { for principal, role in aws_iam_role.this : principal => role.arn }
}
