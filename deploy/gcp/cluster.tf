# The cluster: Autopilot, or Standard with the pools of nodes.tf. One resource for both, since all that matters for
# safety is the same; what Autopilot decides by itself may not even be mentioned there, hence the dynamic blocks.

locals {
  standard = var.cluster_mode == "standard"
}

resource "google_container_cluster" "main" {
  name                = var.cluster_name
  location            = var.region
  node_locations      = local.standard && length(var.node_zones) > 0 ? var.node_zones : null
  deletion_protection = var.deletion_protection

  network    = google_compute_network.main.id
  subnetwork = google_compute_subnetwork.nodes.id

  ip_allocation_policy {
    cluster_secondary_range_name  = "pods"
    services_secondary_range_name = "services"
  }

  private_cluster_config {
    enable_private_nodes = true
  }

  # The API server has no address, only a name, behind Google's front end: it is asked with a Google identity that has
  # container.clusters.connect, from anywhere. So GitHub's runners get in without a bastion or a list of addresses.
  control_plane_endpoints_config {
    dns_endpoint_config {
      allow_external_traffic = true
    }
    ip_endpoints_config {
      enabled = false
    }
  }

  release_channel {
    channel = var.release_channel
  }

  maintenance_policy {
    daily_maintenance_window {
      start_time = var.maintenance_start
    }
  }

  gateway_api_config {
    channel = "CHANNEL_STANDARD"
  }

  logging_config {
    enable_components = ["SYSTEM_COMPONENTS", "WORKLOADS"]
  }

  # Nothing in deploy/monitoring asks for the metrics of Kubernetes' own objects, which are paid for by the sample.
  monitoring_config {
    enable_components = ["SYSTEM_COMPONENTS"]
    managed_prometheus {
      enabled = true
    }
  }

  # What each namespace costs, in the billing export.
  cost_management_config {
    enabled = true
  }

  enable_autopilot = local.standard ? null : true

  dynamic "cluster_autoscaling" {
    for_each = local.standard ? [] : [1]
    content {
      auto_provisioning_defaults {
        service_account = google_service_account.nodes.email
        oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]
      }
    }
  }

  # Dataplane V2 enforces the NetworkPolicies of deploy/; Autopilot always has it, and Workload Identity too.
  datapath_provider = local.standard ? "ADVANCED_DATAPATH" : null

  dynamic "workload_identity_config" {
    for_each = local.standard ? [1] : []
    content {
      workload_pool = "${var.project}.svc.id.goog"
    }
  }

  # GKE makes no cluster without a pool: this one goes as soon as the cluster stands.
  remove_default_node_pool = local.standard ? true : null
  initial_node_count       = local.standard ? 1 : null

  dynamic "node_config" {
    for_each = local.standard ? [1] : []
    content {
      service_account = google_service_account.nodes.email
      oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]
    }
  }

  lifecycle {
    ignore_changes = [initial_node_count, node_config]
  }

  depends_on = [google_project_iam_member.nodes, google_project_service.used]
}
