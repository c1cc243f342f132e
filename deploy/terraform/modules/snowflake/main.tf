# USER_INTERACTIONS, with the columns of user_interactions, and MODEL_TRAININGS, which the trainer writes (docs/nightly.md).

terraform {
  required_version = ">= 1.9"
  required_providers {
    snowflake = {
      source  = "snowflakedb/snowflake"
      version = "~> 2.0"
    }
  }
}

variable "database" {
  description = "Where the tables are."
  type        = string
}

variable "schema" {
  description = "Where the tables are."
  type        = string
}

variable "trainer_role" {
  description = "The role that the trainer logs in with (FEED_TRAINER_SNOWFLAKE_ROLE); null: no right is given."
  type        = string
  default     = null
}

module "declared" {
  source = "../declared"
}

# The provider wants preview_features_enabled = ["snowflake_table_resource"].
resource "snowflake_table" "this" {
  for_each = module.declared.tables

  database = var.database
  schema   = var.schema
  name     = each.key

  dynamic "column" {
    for_each = each.value
    content {
      name     = column.value.name
      type     = column.value.type
      nullable = column.value.nullable
    }
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "snowflake_grant_privileges_to_account_role" "trainer" {
  count = var.trainer_role == null ? 0 : 1

  account_role_name = var.trainer_role
  privileges        = ["SELECT", "INSERT", "UPDATE"]

  on_schema_object {
    object_type = "TABLE"
    object_name = snowflake_table.this["MODEL_TRAININGS"].fully_qualified_name
  }
}
