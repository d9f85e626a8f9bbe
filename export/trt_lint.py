"""Every exported graph is held to what TensorRT takes and computes right.

Takes onnx_ir models, quantized or not, and the TensorRT versions and the compute capability of a target; gives what is
found, or raises ExportError. Knows nothing of plans and engines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from export.trt_graph import Seen
from export.trt_patterns import number
from export.trt_rules import RULES, Rule
from policy_spec.errors import ExportError, sentence

SHOWN = 5  # findings in an error


@dataclass(frozen=True, slots=True)
class Place:
    """Where graphs are to run."""

    versions: tuple[str, ...] = ()  # of TensorRT: 10.3, 10.16.2; none where another engine runs them
    capability: str = ""  # of the GPU: 8.7


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where a graph breaks a rule."""

    graph: str
    where: str
    got: str
    rule: Rule
    version: str

    def text(self) -> str:
        """For a person."""
        what = f"TensorRT {self.version}, graph {self.graph}, {self.where}: {self.rule.kind} ({self.rule.name})"
        do = f"{self.rule.do} (docs/sources.md#{self.rule.source})"
        return sentence(what, expected=self.rule.why, got=self.got, do=do)


def lint(models: Mapping[str, ir.Model], place: Place) -> list[Finding]:
    """Everything that is found, of every version; nothing where there are no versions."""
    found = []
    for model in models.values():
        seen = Seen(model)
        for version in place.versions:
            for rule in RULES.values():
                if rule.holds(version, place.capability):
                    pairs = dict.fromkeys(rule.check(seen, number(version)))
                    found += [Finding(seen.name, where, got, rule, version) for where, got in pairs]
    return found


def refuse(models: Mapping[str, ir.Model], place: Place) -> None:
    """Raises ExportError naming graph, node, rule, TensorRT version and what to do, of the first few findings."""
    findings = lint(models, place)
    if findings:
        raise ExportError(told(findings))


def told(findings: Iterable[Finding]) -> str:
    """The text of a refusal."""
    every = list(findings)
    lines = [finding.text() for finding in every[:SHOWN]]
    more = len(every) - len(lines)
    return "\n".join([*lines, *([f"and {more} more"] if more else [])])
