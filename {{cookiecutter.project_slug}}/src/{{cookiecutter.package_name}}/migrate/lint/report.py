"""Writes a report: as text for people, as JSON, and as annotations for GitHub."""

import json
from dataclasses import asdict
from textwrap import indent

from .model import Finding, Report


def as_text(report: Report) -> str:
    """For people: each finding with its statement, why it hurts, and what to do instead."""
    blocks = [_block(finding) for finding in report.findings]
    blocks += [_line(notice, "notice") for notice in report.notices]
    blocks += [f"{_line(s, 'accepted')} ({s.reason})" for s in report.silenced]
    return "\n".join([*blocks, summary(report)])


def as_json(report: Report) -> str:
    """For programs."""
    rows = {
        name: [{"code": finding.code, **asdict(finding)} for finding in findings]
        for name, findings in (
            ("findings", report.findings),
            ("notices", report.notices),
            ("silenced", report.silenced),
        )
    }
    return json.dumps({"success": report.success, "linted": report.linted, **rows}, indent=2)


def as_github(report: Report, *, level: str = "error") -> str:
    """Annotations on the files of a pull request."""
    lines = [_annotation(finding, level) for finding in report.findings]
    lines += [_annotation(notice, "notice") for notice in report.notices]
    return "\n".join(lines)


def summary(report: Report) -> str:
    """One line: the number of linted migrations and of findings."""
    counts = [(len(report.linted), "migration", " linted"), (len(report.findings), "finding", "")]
    counts += [(len(report.silenced), "finding", " accepted")] * bool(report.silenced)
    return ", ".join(f"{n} {word}{'' if n == 1 else 's'}{rest}" for n, word, rest in counts) + "."


def _block(finding: Finding) -> str:
    lines = [_line(finding, ", ".join(finding.codes)), f"    {finding.why}"]
    if finding.statement:
        lines.insert(1, f"    {finding.statement}")
    lines.append(f"    {finding.instead}")
    for code in finding.rewrite:
        lines.append("\n" + indent(code, " " * 8))
    return "\n".join(lines) + "\n" * (not finding.rewrite)


def _line(finding: Finding, word: str) -> str:
    where = f"{finding.path}:{finding.line}" if finding.line else finding.path
    lock = f" ({finding.lock})" if finding.lock and finding.lock not in finding.detail else ""
    return f"{where}: {word}: {finding.detail}{lock}"


def _annotation(finding: Finding, level: str) -> str:
    message = f"{finding.detail} {finding.why} {finding.instead}"
    if finding.rewrite:
        message += "\n\n" + "\n".join(finding.rewrite)
    line = f",line={finding.line}" if finding.line else ""
    title = ", ".join(finding.codes)
    where = f"file={_property(finding.path)}{line},title={_property(title)}"
    return f"::{level} {where}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
