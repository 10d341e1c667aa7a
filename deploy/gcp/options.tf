# Options: each is off, or costs nothing, as it stands.

variable "github_repository" {
  description = "OWNER/NAME of the repository whose workflow may deliver; empty lets nobody in from GitHub."
  type        = string
  default     = ""

  validation {
    condition     = var.github_repository == "" || can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.github_repository))
    error_message = "github_repository is OWNER/NAME, without https:// and .git."
  }
}

variable "github_repository_id" {
  description = "The repository's number (gh api repos/OWNER/NAME --jq .id): a name can be taken over, a number can't."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^[0-9]*$", var.github_repository_id))
    error_message = "github_repository_id has digits only: gh api repos/OWNER/NAME --jq .id"
  }
  validation {
    condition     = (var.github_repository == "") == (var.github_repository_id == "")
    error_message = "github_repository and github_repository_id are given both, or neither."
  }
}

variable "github_branch" {
  description = "Branch that is delivered."
  type        = string
  default     = "main"

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9._/-]*$", var.github_branch))
    error_message = "github_branch is a branch's name, without refs/heads/."
  }
}

variable "github_workflow" {
  description = "File in .github/workflows of that branch that delivers; any other workflow is refused."
  type        = string
  default     = "deliver.yaml"

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]+\\.ya?ml$", var.github_workflow))
    error_message = "github_workflow is a file's name, such as deliver.yaml."
  }
}

variable "mlflow_database" {
  description = "Cloud SQL (PostgreSQL) for MLflow, for two replicas of it; without it MLflow has SQLite on a volume."
  type        = bool
  default     = false
}

variable "mlflow_database_tier" {
  description = "Machine of the database."
  type        = string
  default     = "db-g1-small"
}

variable "mlflow_database_available" {
  description = "ZONAL has one instance, REGIONAL a second one in another zone, at twice the price."
  type        = string
  default     = "ZONAL"

  validation {
    condition     = contains(["ZONAL", "REGIONAL"], var.mlflow_database_available)
    error_message = "mlflow_database_available is ZONAL or REGIONAL."
  }
}

variable "mlflow_password_version" {
  description = "Counts the database's passwords: one more makes a new one, for database and secret alike."
  type        = number
  default     = 1
}

variable "static_address" {
  description = "A fixed address for the API (spec.expose.address of the ModelServer), and a check of /health from outside."
  type        = bool
  default     = false
}

variable "cloud_nat" {
  description = "A way to the internet for pods and for pulling images from elsewhere. Google's APIs are reached without; an alert that goes to a pager or a mail server is not, nor is an image on ghcr.io."
  type        = bool
  default     = false
}

variable "billing_account" {
  description = "Billing account (gcloud billing accounts list) for a budget; empty is none. Needs rights on that account."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^([0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6})?$", var.billing_account))
    error_message = "billing_account looks like 012345-6789AB-CDEF01: gcloud billing accounts list."
  }
}

variable "monthly_budget" {
  description = "Sum a month, in the billing account's currency, that the alerts are shares of. It stops nothing."
  type        = number
  default     = 200

  validation {
    condition     = var.monthly_budget >= 1 && floor(var.monthly_budget) == var.monthly_budget
    error_message = "monthly_budget is a whole number from 1."
  }
}

variable "alert_email" {
  description = "Who is told about the budget and a dead API; empty leaves the budget to the billing account's administrators."
  type        = string
  default     = ""

  validation {
    condition     = var.alert_email == "" || can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", var.alert_email))
    error_message = "alert_email is one e-mail address."
  }
}

variable "noncurrent_days" {
  description = "Days that an overwritten or deleted object can be brought back by its generation."
  type        = number
  default     = 30

  validation {
    condition     = var.noncurrent_days >= 1
    error_message = "noncurrent_days is at least 1."
  }
}

variable "soft_delete_days" {
  description = "Days that Cloud Storage keeps what is deleted for good; 0 keeps nothing, else 7 to 90."
  type        = number
  default     = 7

  validation {
    condition     = var.soft_delete_days == 0 || (var.soft_delete_days >= 7 && var.soft_delete_days <= 90)
    error_message = "soft_delete_days is 0 or from 7 to 90."
  }
}
