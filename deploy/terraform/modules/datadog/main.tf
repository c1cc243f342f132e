# The alerts, as far as Datadog is told of what they are about.

terraform {
  required_version = ">= 1.9"
  required_providers {
    datadog = {
      source  = "DataDog/datadog"
      version = "~> 3.0"
    }
  }
}

variable "env" {
  description = "The tag env of what is watched (FEED_ENV)."
  type        = string
}

variable "notify" {
  description = "Who is told, by priority: 1 at once, 3 in working hours; such as @pagerduty-feed."
  type        = map(string)
  default     = {}
}

module "declared" {
  source = "../declared"
}

resource "datadog_monitor" "this" {
  for_each = module.declared.monitors

  name     = "${each.key} (${var.env})"
  type     = "query alert"
  query    = replace(each.value.query, "$${env}", var.env)
  message  = trimspace("${each.value.message} ${lookup(var.notify, tostring(each.value.priority), "")}")
  priority = each.value.priority
  tags     = ["service:feed", "env:${var.env}"]

  include_tags        = true
  require_full_window = false

  monitor_thresholds {
    critical = each.value.critical
  }
}
