"""The files that start sandbox hosts on Kubernetes: each has the shape of its kind, and they fit one another and us."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from pctx_jupyter.cli.hosts import SandboxHostCommand
from pctx_jupyter.hosts.dialing import DRAIN_S
from pctx_jupyter.settings import Limits

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
MIB = {"Mi": 1, "Gi": 1024}


def closed(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    """The schema of an object that has these members and no other."""
    found = {"type": "object", "properties": required | optional, "required": list(required)}
    return found | {"additionalProperties": False}


def listed(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


TEXT, NUMBER, FLAG = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "boolean"}
LABELS = {"type": "object", "additionalProperties": TEXT}
SELECTOR = closed({"matchLabels": LABELS})
QUANTITIES = closed({"cpu": TEXT, "memory": {"type": "string", "pattern": "^[0-9]+(Mi|Gi)$"}})
METADATA = closed({"name": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"}}, labels=LABELS)
CONTAINER = closed(
    {
        "name": TEXT,
        "image": TEXT,
        "args": listed(TEXT),
        "resources": closed({"requests": QUANTITIES, "limits": QUANTITIES}),
    },
    securityContext=closed(
        {
            "allowPrivilegeEscalation": {"const": False},
            "readOnlyRootFilesystem": {"const": True},
            "capabilities": closed({"drop": {"const": ["ALL"]}}),
        }
    ),
    volumeMounts=listed(closed({"name": TEXT, "mountPath": TEXT}, readOnly=FLAG)),
)
POD = closed(
    {
        "automountServiceAccountToken": {"const": False},
        "terminationGracePeriodSeconds": NUMBER,
        "securityContext": closed(
            {"runAsNonRoot": {"const": True}, "seccompProfile": closed({"type": {"const": "RuntimeDefault"}})},
            runAsUser={"type": "integer", "minimum": 1},
            runAsGroup={"type": "integer", "minimum": 1},
        ),
        "containers": listed(CONTAINER),
    },
    enableServiceLinks=FLAG,
    volumes=listed(closed({"name": TEXT}, secret=closed({"secretName": TEXT}), emptyDir=closed({}, sizeLimit=TEXT))),
)
PORTS = listed(closed({"protocol": {"enum": ["TCP", "UDP"]}, "port": NUMBER}))
PEERS = listed(closed({}, namespaceSelector=SELECTOR, podSelector=SELECTOR, ipBlock=closed({"cidr": TEXT})))
RESOURCE = closed({"name": TEXT, "target": closed({"type": {"const": "Utilization"}, "averageUtilization": NUMBER})})
SPECS: dict[tuple[str, str], Any] = {
    ("apps/v1", "Deployment"): closed(
        {"selector": SELECTOR, "template": closed({"metadata": closed({"labels": LABELS}), "spec": POD})},
        replicas=NUMBER,
    ),
    ("autoscaling/v2", "HorizontalPodAutoscaler"): closed(
        {
            "scaleTargetRef": closed({"apiVersion": TEXT, "kind": TEXT, "name": TEXT}),
            "minReplicas": NUMBER,
            "maxReplicas": NUMBER,
            "metrics": listed(closed({"type": {"const": "Resource"}, "resource": RESOURCE})),
        }
    ),
    ("networking.k8s.io/v1", "NetworkPolicy"): closed(
        {
            "podSelector": SELECTOR,
            "policyTypes": {"const": ["Ingress", "Egress"]},
            "ingress": {"const": []},
            "egress": listed(closed({"to": PEERS, "ports": PORTS})),
        }
    ),
}
"""The parts of the kinds' definitions that are used here; a member that is misspelled is in none of them."""


@pytest.fixture(scope="module")
def parts() -> dict[str, Any]:
    """What the file has, by kind."""
    found = list(yaml.safe_load_all((FOLDER / "sandbox-hosts.yaml").read_text()))
    return {part["kind"]: part for part in found}


@pytest.mark.parametrize(("version", "kind"), SPECS)
def test_each_part_has_the_shape_of_its_kind(parts: dict[str, Any], version: str, kind: str) -> None:
    schema = closed(
        {"apiVersion": {"const": version}, "kind": TEXT, "metadata": METADATA, "spec": SPECS[version, kind]}
    )
    jsonschema.validate(parts[kind], schema)
    assert len(parts) == len(SPECS)


def test_the_parts_mean_the_same_pods(parts: dict[str, Any]) -> None:
    deployment = parts["Deployment"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert parts["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    target = parts["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert target == {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment["metadata"]["name"]}


def test_a_pod_has_the_memory_and_the_time_that_its_sandboxes_need_and_options_that_exist(
    parts: dict[str, Any],
) -> None:
    pod = parts["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    command = SandboxHostCommand()
    command.parse_command_line(container["args"])
    memory = container["resources"]["limits"]["memory"]
    assert int(memory[:-2]) * MIB[memory[-2:]] >= command.sandboxes * (Limits().max_memory_mb + 35) + 150
    assert pod["terminationGracePeriodSeconds"] > DRAIN_S
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert command.token_file == f"{mounted['token']}/token" and command.url.startswith("https://")
    assert {volume["name"] for volume in pod["volumes"]} == mounted.keys()
    context, user = pod["securityContext"], (FOLDER / "Dockerfile").read_text().partition("USER ")[2].split()[0]
    assert user == f"{context['runAsUser']}:{context['runAsGroup']}"
