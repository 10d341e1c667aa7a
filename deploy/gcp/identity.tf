# Who may do what in the bucket: one line an account, and nothing that is not in it. The accounts are those of deploy/, named
# directly (Workload Identity Federation for GKE): no Google service account stands between, and no key exists.
#
# list   names of all objects, and the bucket's settings. It can't be narrowed to a prefix: without it an object that is not
#        there is answered 403 instead of 404, and the programs could not tell "no right" from "no model yet".
# read   content below these prefixes.
# write  content below these prefixes: make, overwrite, delete. The photographs in raw/ can't be written by anybody here.

locals {
  raw = "datasets/cats-dogs/raw/"

  workload_rights = {
    trainer = {
      list  = true
      read  = [local.raw]
      write = ["datasets/cats-dogs/", "models/cats-dogs/", "checkpoints/cats-dogs/", "dvc/"]
    }
    # It is on the internet: it can fetch a model whose name it is told, and see nothing else.
    model-server = {
      list  = false
      read  = ["models/cats-dogs/"]
      write = []
    }
    model-judge = {
      list  = true
      read  = ["datasets/cats-dogs/", "models/cats-dogs/", "golden/"]
      write = ["evalsets/", "reports/"]
    }
  }

  system_rights = {
    mlops-operator = {
      list  = true
      read  = ["models/cats-dogs/", "reports/"]
      write = ["ledger/"]
    }
    # Artifacts go through the tracking server, so that no other account needs a right to them.
    mlflow = {
      list  = true
      read  = []
      write = ["mlflow-artifacts/", "mlflow-backups/"]
    }
  }

  # "namespace/account" = its rights
  rights = merge(
    { for name, right in local.system_rights : "mlops-system/${name}" => right },
    [
      for namespace in var.workload_namespaces :
      { for name, right in local.workload_rights : "${namespace}/${name}" => right }
    ]...
  )

  identities = "principal://iam.googleapis.com/projects/${data.google_project.this.number}/locations/global/workloadIdentityPools/${var.project}.svc.id.goog"
  principals = { for account in keys(local.rights) : account => "${local.identities}/subject/ns/${replace(account, "/", "/sa/")}" }
  objects    = "projects/_/buckets/${google_storage_bucket.data.name}/objects"

  # Prefixes as a condition of IAM.
  below = {
    for account, right in local.rights : account => {
      for verb in ["read", "write"] : verb =>
      join(" || ", [for prefix in right[verb] : "resource.name.startsWith(\"${local.objects}/${prefix}\")"])
    }
  }
}

resource "google_storage_bucket_iam_member" "list" {
  for_each = { for account, right in local.rights : account => local.principals[account] if right.list }

  bucket = google_storage_bucket.data.name
  role   = "roles/storage.legacyBucketReader"
  member = each.value

  # The pool of identities is there once the project has a cluster.
  depends_on = [google_container_cluster.main]
}

resource "google_storage_bucket_iam_member" "read" {
  for_each = { for account, right in local.rights : account => local.principals[account] if length(right.read) > 0 }

  bucket = google_storage_bucket.data.name
  role   = "roles/storage.objectViewer"
  member = each.value

  condition {
    title      = "${replace(each.key, "/", "-")}-reads"
    expression = local.below[each.key].read
  }

  depends_on = [google_container_cluster.main]
}

resource "google_storage_bucket_iam_member" "write" {
  for_each = { for account, right in local.rights : account => local.principals[account] if length(right.write) > 0 }

  bucket = google_storage_bucket.data.name
  role   = "roles/storage.objectUser"
  member = each.value

  condition {
    title      = "${replace(each.key, "/", "-")}-writes"
    expression = "(${local.below[each.key].write}) && !resource.name.startsWith(\"${local.objects}/${local.raw}\")"
  }

  depends_on = [google_container_cluster.main]
}
