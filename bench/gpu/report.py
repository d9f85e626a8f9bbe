"""The tables of a run: Markdown for a person, JSON for programs. Knows nothing of how it was measured."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bench.gpu import checks, think_bench
from bench.gpu.machine import words
from bench.gpu.think_ways import ThinkResult
from bench.gpu.ways import Result

# The aims, for the full size with 2 cameras and a horizon of 10 on a data-centre GPU.
CALL_MS, TIMES_FASTER, THINK_MS = 40.0, 4.0, 100.0
LEAST_CHANGED = 0.15  # of the cells: Think's aim is set for 20 %, and a clip's share is about that
SET_FOR = ("molmoact2-full", 2, 10)  # preset, cameras, horizon


def aims(facts: dict[str, Any], result: Result, thought: ThinkResult | None) -> list[dict[str, Any]]:
    """What was wanted, what came, and whether that is enough: None where the run is not what the aims are set for."""
    call = result.times[result.best].p50
    ratio = result.times[result.rival].p50 / call
    out = [
        {"aim": f"a call in at most {CALL_MS:.0f} ms", "got": call, "unit": "ms", "met": call <= CALL_MS},
        {
            "aim": f"at least {TIMES_FASTER:.0f} times faster than '{result.rival}'",
            "got": ratio,
            "unit": "x",
            "met": ratio >= TIMES_FASTER,
        },
    ]
    for line in thought.best if thought else ():
        aim = f"Think, {line.changed:.0%} of the cells changed, {line.codes} codes, in at most {THINK_MS:.0f} ms"
        met = line.ms.p50 <= THINK_MS if line.changed >= LEAST_CHANGED else None
        out.append({"aim": aim, "got": line.ms.p50, "unit": "ms", "met": met})
    asked = facts["asked"]
    same = (asked["preset"], asked["cameras"], asked["horizon"]) == SET_FOR and facts["machine"]["device"] == "cuda"
    return out if same else [{**aim, "met": None} for aim in out]


def as_json(facts: dict[str, Any], result: Result, thought: ThinkResult | None) -> dict[str, Any]:
    """All numbers. facts: what was asked, and the machine."""
    out: dict[str, Any] = {
        "format": 1,
        **facts,
        "ms": {name: asdict(times) for name, times in result.times.items()},
        "stages_ms": {
            way: {name: asdict(times) for name, times in stages.items()} for way, stages in result.stages.items()
        },
        "memory_gb": result.memory,
        "call": result.facts,
        "checks": [row.json() for row in result.checks],
        "aims": aims(facts, result, thought),
    }
    if thought:
        out["think"] = {
            "lines": [asdict(line) for line in thought.lines],
            "checks": [row.json() for row in thought.checks],
            "own_codes_that_differ": thought.own_codes,
            "own_codes_of": thought.cells,
            "memory_gb": thought.memory,
            **thought.facts,
        }
    return out


def text(facts: dict[str, Any], result: Result, thought: ThinkResult | None) -> str:
    """Markdown."""
    asked = facts["asked"]
    head = (
        f"{asked['preset']}, random weights, {asked['cameras']} cameras, horizon {asked['horizon']}, {asked['dtype']}"
        f"{', compiled' if asked['compile'] else ''}; prompt {result.facts['prompt_tokens'][0]} tokens in a bracket of "
        f"{result.facts['bracket']}; {words(facts['machine'])}; {asked['rounds']} interleaved rounds"
    )
    parts = [head, *_calls(result), *_stages(result), "Checks, against the plain model in float32:"]
    parts.append("\n".join(checks.table(result.checks)))
    if thought:
        parts += ["Think:", "\n".join(think_bench.text(thought.lines)), "\n".join(checks.table(thought.checks))]
        differ = ", ".join(f"{name} {count}" for name, count in thought.own_codes.items())
        parts.append(f"Codes that differ from eager's where each speaks for itself, of {thought.cells}: {differ}")
    parts.append("\n".join(_aim(aim) for aim in aims(facts, result, thought)))
    return "\n\n".join(parts)


def _calls(result: Result) -> list[str]:
    ours = result.times[result.best].p50
    lines = [f"| way | ms p50 | p90 | best | {result.best} is faster |", "|---|---|---|---|---|"]
    for name, t in result.times.items():
        lines.append(f"| {name} | {t.p50:.2f} | {t.p90:.2f} | {t.best:.2f} | {t.p50 / ours:.2f}x |")
    memory = [f"{name} {v['now']:.1f} GB (peak {v['peak']:.1f})" for name, v in result.memory.items() if v]
    return ["\n".join(lines), *(["Memory: " + "; ".join(memory)] if memory else [])]


def _stages(result: Result) -> list[str]:
    lines = ["| of | stage by itself | ms p50 | p90 |", "|---|---|---|---|"]
    for way, stages in result.stages.items():
        lines += [f"| {way} | {name} | {t.p50:.2f} | {t.p90:.2f} |" for name, t in stages.items()]
    return ["\n".join(lines)]


def _aim(aim: dict[str, Any]) -> str:
    word = {True: "met", False: "NOT met", None: "not judged: the aims are for other runs (docs/gpu.md)"}[aim["met"]]
    return f"- {aim['aim']}: {aim['got']:.1f} {aim['unit']}, {word}"
