# All of it on one MSK cluster with IAM. Take what you need: each module stands alone (docs/terraform.md).

terraform {
  required_version = ">= 1.9"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.80, < 7.0"
    }
    datadog = {
      source  = "DataDog/datadog"
      version = "~> 3.0"
    }
    kafka = {
      source  = "Mongey/kafka"
      version = "~> 0.12"
    }
    snowflake = {
      source  = "snowflakedb/snowflake"
      version = "~> 2.0"
    }
  }
}

variable "region" {
  description = "AWS region."
  type        = string
}

variable "cluster_arn" {
  description = "ARN of the MSK cluster."
  type        = string
}

variable "bootstrap_servers" {
  description = "Brokers, host:9098."
  type        = list(string)
}

variable "oidc_provider_arn" {
  description = "ARN of the OIDC provider of the Kubernetes cluster."
  type        = string
}

variable "snowflake" {
  description = "Where the tables are, and the trainer's role."
  type        = object({ database = string, schema = string, trainer_role = optional(string) })
}

variable "env" {
  description = "The tag env in Datadog."
  type        = string
}

variable "notify" {
  description = "Whom Datadog tells, by priority (1, 3)."
  type        = map(string)
  default     = {}
}

provider "aws" {
  region = var.region
}

provider "kafka" {
  bootstrap_servers = var.bootstrap_servers
  tls_enabled       = true
  sasl_mechanism    = "aws-iam"
  sasl_aws_region   = var.region
}

# Account, user and key come from SNOWFLAKE_*, Datadog's keys from DD_API_KEY and DD_APP_KEY: no secret is written here.
provider "snowflake" {
  preview_features_enabled = ["snowflake_table_resource"]
}

provider "datadog" {}

module "topics" {
  source = "./modules/kafka"
  rights = false
}

module "roles" {
  source            = "./modules/msk"
  cluster_arn       = var.cluster_arn
  oidc_provider_arn = var.oidc_provider_arn
}

module "tables" {
  source       = "./modules/snowflake"
  database     = var.snowflake.database
  schema       = var.snowflake.schema
  trainer_role = var.snowflake.trainer_role
}

module "monitors" {
  source = "./modules/datadog"
  env    = var.env
  notify = var.notify
}

output "roles" {
  description = "ARNs by principal, for the service accounts of the Helm chart."
  value       = module.roles.roles
}
