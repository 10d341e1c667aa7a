# What must be said, and what the cluster is like. Options that cost extra are in options.tf.

variable "project" {
  description = "ID of an existing Google Cloud project with billing, for this alone."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "project is the project's ID (6 to 30 of a-z, 0-9 and -), not its name or number: gcloud projects list."
  }
}

variable "region" {
  description = "Region of cluster, bucket and registry: one for all, so that nothing pays for traffic between regions."
  type        = string
  default     = "europe-west4"

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region is a region such as europe-west4, not a zone such as europe-west4-a."
  }
}

variable "bucket" {
  description = "Name of the bucket for photographs, models and MLflow's artifacts, unused by anybody in the world."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9_-]{1,61}[a-z0-9]$", var.bucket)) && !startswith(var.bucket, "goog")
    error_message = "bucket has 3 to 63 of a-z, 0-9, - and _ and does not begin with goog: PROJECT-cats-dogs is a good one."
  }
}

variable "workload_namespaces" {
  description = "Kubernetes namespaces that train and serve; their accounts get the rights of identity.tf."
  type        = set(string)
  default     = ["cats-dogs"]

  validation {
    condition     = length(var.workload_namespaces) > 0 && !contains(var.workload_namespaces, "mlops-system")
    error_message = "workload_namespaces names at least one namespace, and never mlops-system, which is the operator's own."
  }
}

variable "cluster_name" {
  description = "Name of the GKE cluster; network, router and node account are named after it."
  type        = string
  default     = "cats-dogs"

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,18}[a-z0-9])?$", var.cluster_name))
    error_message = "cluster_name has at most 20 of a-z, 0-9 and -, and begins with a letter."
  }
}

variable "cluster_mode" {
  description = "autopilot: pods are paid for, GPUs come when a run asks. standard: node pools are, with a Spot GPU pool."
  type        = string
  default     = "autopilot"

  validation {
    condition     = contains(["autopilot", "standard"], var.cluster_mode)
    error_message = "cluster_mode is autopilot or standard."
  }
}

variable "release_channel" {
  description = "GKE release channel: how new a Kubernetes the cluster gets by itself."
  type        = string
  default     = "REGULAR"

  validation {
    condition     = contains(["RAPID", "REGULAR", "STABLE", "EXTENDED"], var.release_channel)
    error_message = "release_channel is RAPID, REGULAR, STABLE or EXTENDED."
  }
}

variable "maintenance_start" {
  description = "When GKE may begin to upgrade, each day, in UTC; the window is four hours long."
  type        = string
  default     = "01:00"

  validation {
    condition     = can(regex("^([01][0-9]|2[0-3]):[0-5][0-9]$", var.maintenance_start))
    error_message = "maintenance_start is HH:MM, such as 01:00."
  }
}

variable "deletion_protection" {
  description = "Refuse to delete cluster and database. To remove all of it: apply with false, then destroy."
  type        = bool
  default     = true
}

variable "node_machine_type" {
  description = "Standard only: machine type of the pool that runs everything without a GPU."
  type        = string
  default     = "e2-standard-4"
}

variable "node_zones" {
  description = "Standard only: zones of the node pools; empty is all that GKE chooses. GPUs are in some zones alone."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for zone in var.node_zones : startswith(zone, "${var.region}-")])
    error_message = "node_zones are zones of the region, such as europe-west4-a for europe-west4."
  }
}

variable "max_nodes" {
  description = "Standard only: most nodes of each pool, over all zones."
  type        = number
  default     = 4

  validation {
    condition     = var.max_nodes >= 1 && var.max_nodes <= 100 && floor(var.max_nodes) == var.max_nodes
    error_message = "max_nodes is a whole number from 1 to 100."
  }
}

variable "gpu" {
  description = "Standard only: the Spot GPU pool's machine and accelerator, as spec.gpu of a TrainingRun asks for it."
  type = object({
    machine_type = string
    type         = string
    count        = number
  })
  default = {
    machine_type = "g2-standard-8"
    type         = "nvidia-l4"
    count        = 1
  }
}
