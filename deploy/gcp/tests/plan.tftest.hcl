# `terraform test`, without a project or credentials: what would be made, for each choice. It needs the providers
# (`terraform init -backend=false`) and no cloud; random is real, since Terraform can't mock what is ephemeral.

mock_provider "google" {
  mock_data "google_project" {
    defaults = {
      number = "123456789012"
    }
  }
}

variables {
  project = "some-project"
  bucket  = "some-project-cats-dogs"
}

run "as_it_stands" {
  command = plan

  assert {
    condition     = google_container_cluster.main.enable_autopilot && length(google_container_node_pool.pool) == 0
    error_message = "Autopilot, without pools"
  }
  assert {
    condition     = google_container_cluster.main.deletion_protection
    error_message = "protected"
  }
  assert {
    condition = keys(google_storage_bucket_iam_member.write) == [
      "cats-dogs/model-judge", "cats-dogs/trainer", "mlops-system/mlflow", "mlops-system/mlops-operator",
    ]
    error_message = "the server writes nothing"
  }
  assert {
    condition = google_storage_bucket_iam_member.read["cats-dogs/model-server"].condition[0].expression == (
      "resource.name.startsWith(\"projects/_/buckets/some-project-cats-dogs/objects/models/cats-dogs/\")"
    )
    error_message = "the server reads models"
  }
  assert {
    condition = google_storage_bucket_iam_member.write["mlops-system/mlops-operator"].condition[0].expression == join("", [
      "(resource.name.startsWith(\"projects/_/buckets/some-project-cats-dogs/objects/ledger/\"))",
      " && !resource.name.startsWith(\"projects/_/buckets/some-project-cats-dogs/objects/datasets/cats-dogs/raw/\")",
    ])
    error_message = "the operator writes the ledger"
  }
  assert {
    condition = google_storage_bucket_iam_member.list["cats-dogs/trainer"].member == join("", [
      "principal://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/",
      "some-project.svc.id.goog/subject/ns/cats-dogs/sa/trainer",
    ])
    error_message = "a Kubernetes account by its name"
  }
  assert {
    condition = (
      length(google_iam_workload_identity_pool.github) + length(google_sql_database_instance.mlflow) +
      length(google_billing_budget.project) + length(google_monitoring_uptime_check_config.api) +
      length(google_compute_router_nat.main) == 0
    )
    error_message = "no option is on"
  }
}

run "standard_with_gpu" {
  command = plan

  variables {
    cluster_mode = "standard"
    node_zones   = ["europe-west4-a"]
  }

  assert {
    condition     = google_container_cluster.main.workload_identity_config[0].workload_pool == "some-project.svc.id.goog"
    error_message = "pods have identities"
  }
  assert {
    condition     = google_container_cluster.main.datapath_provider == "ADVANCED_DATAPATH"
    error_message = "NetworkPolicies are enforced"
  }
  assert {
    condition     = keys(google_container_node_pool.pool) == ["gpu-spot", "main", "spot"]
    error_message = "three pools"
  }
  assert {
    condition = (
      google_container_node_pool.pool["gpu-spot"].node_config[0].spot &&
      google_container_node_pool.pool["gpu-spot"].node_config[0].guest_accelerator[0].type == "nvidia-l4" &&
      google_container_node_pool.pool["gpu-spot"].autoscaling[0].total_min_node_count == 0
    )
    error_message = "GPUs are Spot, and none waits for work"
  }
}

run "github" {
  command = plan

  variables {
    github_repository    = "some-org/cats-dogs"
    github_repository_id = "42"
  }

  assert {
    condition = google_iam_workload_identity_pool_provider.github[0].attribute_condition == join(" && ", [
      "assertion.repository == \"some-org/cats-dogs\"",
      "assertion.repository_id == \"42\"",
      "assertion.ref == \"refs/heads/main\"",
      "assertion.workflow_ref == \"some-org/cats-dogs/.github/workflows/deliver.yaml@refs/heads/main\"",
    ])
    error_message = "repository, branch and workflow"
  }
}

run "everything" {
  command = plan

  variables {
    workload_namespaces  = ["cats-dogs", "staging"]
    github_repository    = "some-org/cats-dogs"
    github_repository_id = "42"
    static_address       = true
    cloud_nat            = true
    mlflow_database      = true
    billing_account      = "012345-6789AB-CDEF01"
    alert_email          = "team@example.com"
  }

  assert {
    condition     = contains(keys(google_storage_bucket_iam_member.read), "staging/model-server")
    error_message = "each namespace has its accounts"
  }
  assert {
    condition = (
      length(google_sql_database_instance.mlflow) == 1 && length(google_billing_budget.project[0].threshold_rules) == 4 &&
      length(google_monitoring_alert_policy.api) == 1
    )
    error_message = "the options are on"
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    project             = "Some Project"
    region              = "europe-west4-a"
    bucket              = "goog"
    cluster_mode        = "serverless"
    github_repository   = "https://github.com/some-org/cats-dogs"
    billing_account     = "mine"
    soft_delete_days    = 3
    workload_namespaces = ["mlops-system"]
  }

  expect_failures = [
    var.project, var.region, var.bucket, var.cluster_mode, var.github_repository, var.billing_account,
    var.soft_delete_days, var.workload_namespaces,
  ]
}

run "values_that_do_not_fit_together_are_refused" {
  command = plan

  variables {
    node_zones        = ["us-east1-b"]
    github_repository = "some-org/cats-dogs"
  }

  expect_failures = [var.node_zones, var.github_repository_id]
}
