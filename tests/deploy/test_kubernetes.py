"""The manifests we hand out: what they promise, and that it fits image and command line."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from janitor.flags import parse
from runtime.command import ExitCode
from runtime.lifecycle import STOP_PATIENCE_SECONDS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def job() -> Any:
    """The janitor's CronJob."""
    documents = list(yaml.safe_load_all((ROOT / "deploy" / "kubernetes" / "janitor.yaml").read_text()))
    assert [document["kind"] for document in documents] == ["ServiceAccount", "CronJob"]
    assert documents[0]["metadata"]["name"] == documents[1]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["serviceAccountName"]
    return documents[1]["spec"]


@pytest.fixture(scope="module")
def pod(job: Any) -> Any:
    return job["jobTemplate"]["spec"]["template"]["spec"]


def test_one_sweep_at_a_time_that_ends_before_the_next_begins(job: Any) -> None:
    assert job["concurrencyPolicy"] == "Forbid"
    assert job["schedule"].split()[1:] == ["*"] * 4  # hourly
    assert job["jobTemplate"]["spec"]["activeDeadlineSeconds"] < 3600
    assert job["startingDeadlineSeconds"] < 3600


def test_what_trying_again_would_not_mend_is_not_tried_again(job: Any) -> None:
    spec = job["jobTemplate"]["spec"]
    (rule,) = spec["podFailurePolicy"]["rules"]
    assert rule["action"] == "FailJob"
    assert rule["onExitCodes"]["values"] == [ExitCode.USAGE, ExitCode.REFUSED]
    assert spec["template"]["spec"]["restartPolicy"] == "Never"  # a podFailurePolicy asks for it
    assert rule["onExitCodes"]["containerName"] == spec["template"]["spec"]["containers"][0]["name"]


def test_the_pod_may_nothing_it_does_not_need(pod: Any) -> None:
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert f"USER {pod['securityContext']['runAsUser']}" in (ROOT / "Dockerfile").read_text()
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in container["resources"]["limits"]
    assert pod["terminationGracePeriodSeconds"] > STOP_PATIENCE_SECONDS


def test_settings_and_secrets_are_where_the_command_looks(pod: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (container,) = pod["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert {volume["name"] for volume in pod["volumes"]} == set(mounts)
    (variable,) = container["env"]
    assert variable["name"] == "TIDEMARK_CONFIG"
    assert Path(variable["value"]).parent == Path(mounts["config"])
    assert f"${{file:{mounts['secrets']}}}" in (ROOT / "tidemark.example.yaml").read_text()
    program, *arguments = container["command"]
    assert program == "janitor"
    assert parse(arguments).verb is None


def test_no_volume_takes_the_place_where_eks_mounts_the_role_s_token(pod: Any) -> None:
    """It is below /var/run/secrets, and /var/run is /run in Debian's images; a read-only volume takes no folder for it."""
    token = Path("/run/secrets/eks.amazonaws.com/serviceaccount")
    (container,) = pod["containers"]
    for mount in container["volumeMounts"]:
        at = Path(re.sub("^/var/run(?=/|$)", "/run", mount["mountPath"]))
        assert at not in (token, *token.parents), mount
    (secret,) = (mount for mount in container["volumeMounts"] if mount["name"] == "secrets")
    assert Path(secret["mountPath"]).name == secret["subPath"]  # else all the secret's keys would be a folder of that name
