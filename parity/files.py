"""Reports of the suite: JSON for programs, Markdown for people."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from parity.inputs import DTYPES
from parity.suite import Check, Results
from parity.tolerance import default_tolerance
from parity.tolerances import LOOSER


def write(results: Results, folder: Path, versions: Mapping[str, str]) -> None:
    """Writes `report.json` and `report.md`; the folder is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(as_json(results, versions), encoding="utf-8")
    (folder / "report.md").write_text(as_markdown(results, versions), encoding="utf-8")


def as_json(results: Results, versions: Mapping[str, str]) -> str:
    """Every check. An infinite error is null, since JSON has no infinity."""
    checks = [asdict(check) for check in results.checks]
    for check in checks:
        check["error"] = check["error"] if math.isfinite(check["error"]) else None
    content = {
        "versions": dict(versions),
        "ok": results.ok,
        "passed": results.passed,
        "failed": len(results.failed),
        "not_in_torch": len(results.skipped),
        "seconds": round(results.seconds, 1),
        "checks": checks,
    }
    return json.dumps(content, indent=1) + "\n"


def as_markdown(results: Results, versions: Mapping[str, str]) -> str:
    """The summary, a table by family and property, and what failed."""
    lines = ["# Parity with torch", "", results.summary(), "", *shares(results), ""]
    lines += [f"- {name}: {value}" for name, value in versions.items()]
    lines += [
        "",
        "| family | property | checks | failed | not in torch | greatest error |",
        "| - | - | -: | -: | -: | -: |",
    ]
    lines += [f"| {f} | {p} | {n} | {bad} | {no} | {error:.2g} |" for f, p, n, bad, no, error in results.table()]
    for title, checks in (("Failed", results.failed), ("Not in torch", results.skipped)):
        if checks:
            lines += ["", f"## {title}", "", *(f"- `{check.name}`: {check.why.splitlines()[0]}" for check in checks)]
    lines += _beyond(results)
    return "\n".join(lines) + "\n"


def shares(results: Results) -> list[str]:
    """For each dtype how many samples lie inside of its tolerance in all that is compared."""
    lines = []
    for dtype in DTYPES:
        inside, of = results.inside(dtype)
        if of:
            share = f"{inside} of {of} samples ({100 * inside / of:.1f} %)"
            bound = default_tolerance(DTYPES[dtype][0])
            lines.append(f"- {dtype}: {share} inside of {bound} in every output, gradient and buffer")
    return lines


def _beyond(results: Results) -> list[str]:
    """What passed for a reason: each of float64 and float32, the half precisions counted."""
    groups: dict[tuple[str, str, str], list[Check]] = {}
    singly = []
    for check in results.judged:
        if check.dtype in ("f64", "f32"):
            singly.append(f"- `{check.name}`: {check.remark}")
        else:
            groups.setdefault((check.dtype, check.family, check.property), []).append(check)
    lines = ["", "## Beyond its dtype's tolerance, and as near to float64 as torch", "", *singly] if singly else []
    if groups:
        lines += ["", "## Likewise in half precision, where torch itself is as far from float64", ""]
        lines += ["| dtype | family | property | checks | greatest error |", "| - | - | - | -: | -: |"]
        lines += [
            f"| {dtype} | {family} | {property} | {len(group)} | {max(check.error for check in group):.2g} |"
            for (dtype, family, property), group in sorted(groups.items())
        ]
    bounds = [entry for entry in LOOSER if any(entry.reason in check.remark for check in results.judged)]
    if bounds:
        lines += ["", "## Looser bounds", "", "| cases | dtype | property | bound | measured | reason |"]
        lines += ["| - | - | - | -: | -: | - |"]
        lines += [
            f"| `{x.pattern}` | {x.dtype} | {x.property} | {x.bound:g} | {x.measured:g} | {x.reason} |" for x in bounds
        ]
    return lines
