"""Reports of the suite: JSON for programs, Markdown for people."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from parity.suite import Results


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
    lines = ["# Parity with torch", "", results.summary(), ""]
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
    if results.judged:
        lines += ["", "## Beyond torch.testing's tolerance, and as near to float64 as torch", ""]
        lines += [f"- `{check.name}`: {check.remark}" for check in results.judged]
    return "\n".join(lines) + "\n"
