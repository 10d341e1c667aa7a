"""Images are tagged by what goes into them: what did not change is never built again. docker's builder is stood in for
by a program that writes down what it is told, since none can run here."""

import pytest

from tests.delivery.steps import Steps
from tests.delivery.test_bad_input import REGISTRY, fails

DIGEST = "sha256:" + "7" * 64
DOCKER = """
folder=$(dirname "$0")
echo "$*" >>"$folder/told"
case "$*" in
*"imagetools inspect"*)
    if [ -e "$folder/pushed" ]; then echo '{{"digest": "{digest}", "size": 2}}'
    else echo "ERROR: $4: not found" >&2; exit 1; fi ;;
*"buildx build"*) {build}; case "$*" in *--push*) touch "$folder/pushed" ;; esac ;;
esac
"""


def with_docker(steps: Steps, build: str = "true") -> None:
    steps.program("docker", DOCKER.format(digest=DIGEST, build=build))


def told(steps: Steps) -> list[str]:
    return (steps.programs / "told").read_text().splitlines()


def test_an_image_is_pushed_once_with_its_attestations(steps: Steps) -> None:
    with_docker(steps)
    tag = steps.ok("tag", "trainer").said.strip()
    assert steps.ok("image", "push", "trainer", REGISTRY=REGISTRY).outputs == {
        "reference": f"{REGISTRY}/trainer@{DIGEST}"
    }
    [build] = [line for line in told(steps) if line.startswith("buildx build")]
    for words in (
        *("--push", "--sbom=true", "--provenance=mode=max", f"--tag={REGISTRY}/trainer:{tag}"),
        *(f"--cache-from=type=registry,ref={REGISTRY}/trainer:cache", "--file=workloads/Dockerfile.trainer"),
        f"--label=org.opencontainers.image.revision={'4' * 40}",
    ):
        assert f" {words} " in f"{build} "
    again = steps.ok("image", "push", "trainer", REGISTRY=REGISTRY)
    assert again.outputs == {"reference": f"{REGISTRY}/trainer@{DIGEST}"}
    assert len([line for line in told(steps) if line.startswith("buildx build")]) == 1


def test_a_pull_request_builds_and_pushes_nothing(steps: Steps) -> None:
    with_docker(steps)
    steps.ok("image", "check", "server")
    [build] = [line for line in told(steps) if line.startswith("buildx build")]
    assert "--output=type=cacheonly" in build
    assert "--push" not in build


def test_the_tag_changes_with_what_is_copied_and_with_nothing_else(own: Steps) -> None:
    def tags() -> dict[str, str]:
        return {name: own.ok("tag", name).said.strip() for name in ("operator", "trainer", "server", "mlflow")}

    before = tags()
    assert len(set(before.values())) == 4
    (own.checkout / "README.md").write_text("words")
    (own.checkout / "operator/mlops_operator/metrics.py").write_text("# changed")
    assert tags() == before  # not committed
    own.commit("the operator changes")
    after = tags()
    assert {name for name in before if before[name] != after[name]} == {"operator"}
    (own.checkout / "workloads/catsdogs/pipeline/train.py").write_text("# changed")
    own.commit("the training changes")
    assert {name for name, tag in tags().items() if tag != after[name]} == {"trainer"}


def test_what_a_dockerfile_copies_must_be_committed(own: Steps) -> None:
    own.git("rm", "--quiet", "-r", "dvc.yaml")
    own.commit("gone")
    line = own("tag", "trainer").error
    assert (
        line
        == "Image can't be built::workloads/Dockerfile.trainer copies dvc.yaml, which HEAD does not have: commit it"
    )


def test_an_image_that_is_missing_is_one_line(steps: Steps) -> None:
    with_docker(steps)
    line = steps("image", "find", "server", REGISTRY=REGISTRY).error
    assert line.startswith(f"Image missing::{REGISTRY}/server:")
    assert 'run the job "image server" of this workflow again' in line


def test_images_that_are_there_are_outputs(steps: Steps) -> None:
    with_docker(steps)
    (steps.programs / "pushed").touch()
    found = steps.ok("image", "find", "operator", "server", REGISTRY=REGISTRY).outputs
    assert found == {name: f"{REGISTRY}/{name}@{DIGEST}" for name in ("operator", "server")}


@pytest.mark.parametrize(
    ("words", "begins"),
    [
        (
            'ERROR: failed to push: denied: Permission "artifactregistry.repositories.uploadArtifacts" denied',
            "No rights::Building image operator: ",
        ),
        (
            "ERROR: failed to solve: toomanyrequests: Quota exceeded for quota metric 'Requests per project'",
            "Quota exceeded::Building image operator: ",
        ),
        (
            'ERROR: failed to push: name unknown: Repository "cats-dogs" not found',
            "Not found::Building image operator: ",
        ),
    ],
)
def test_a_push_that_is_refused_is_one_line(steps: Steps, words: str, begins: str) -> None:
    with_docker(steps, f"echo '#12 exporting'; {fails(words)}")
    assert steps("image", "push", "operator", REGISTRY=REGISTRY).error.startswith(begins)


def test_a_registry_that_does_not_answer_is_not_an_empty_one(steps: Steps) -> None:
    steps.program("docker", fails("ERROR: failed to do request: dial tcp: lookup x: no such host"))
    assert steps("image", "find", "server", REGISTRY=REGISTRY).error.startswith("Unreachable::Looking for")
