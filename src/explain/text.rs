//! A report as a person reads it: what was looked at, in its order, then what comes of it.

use std::fmt;

use crate::findings::{Finding, Kind, Verdict};

use super::report::{Counted, Decision, Report};

type Result = fmt::Result;

pub(super) fn write(report: &Report, out: &mut fmt::Formatter<'_>) -> Result {
    writeln!(out, "role       {}: {}", report.role, report.role_because)?;
    writeln!(out, "time       {} ({})", report.time, report.unix_seconds)?;
    section(out, "request", &report.request)?;
    section(out, "credentials", &report.credentials)?;
    section(out, "inbound rules", &report.inbound)?;
    section(out, "outbound rules", &report.outbound)?;
    waits(report, out)?;
    decision(report, out)?;
    for note in &report.notes {
        writeln!(out, "\nnote: {note}")?;
    }
    Ok(())
}

fn section(out: &mut fmt::Formatter<'_>, title: &str, findings: &[Finding]) -> Result {
    if findings.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{title}")?;
    findings.iter().try_for_each(|finding| one(out, finding, 1))
}

/// A rule that does not match is told in a line: its conditions stand in it.
fn one(out: &mut fmt::Formatter<'_>, finding: &Finding, depth: usize) -> Result {
    let mark = match (finding.kind, finding.result) {
        (_, Verdict::Good) => "ok",
        (_, Verdict::Bad) => "NO",
        (_, Verdict::Skipped) => "-",
        (_, Verdict::Unknown) => "?",
        (_, Verdict::Note) => " ",
    };
    let indent = "  ".repeat(depth);
    let name = match finding.kind {
        Kind::ShadowRule => format!("{} (shadow)", finding.name),
        Kind::Request | Kind::Rule | Kind::Condition | Kind::Credential | Kind::Check | Kind::PutOn => {
            finding.name.clone()
        }
    };
    let skipped = match (finding.kind, finding.result, finding.text.as_str()) {
        (Kind::Check, Verdict::Skipped, "") => "not looked at",
        (Kind::Check, Verdict::Skipped, _) => "not looked at: ",
        _ => "",
    };
    write!(out, "{indent}{mark:<2} {name}: {skipped}{}", finding.text)?;
    match finding.reason {
        Some(reason) => writeln!(out, " [{reason}]")?,
        None => writeln!(out)?,
    }
    let is_rule = matches!(finding.kind, Kind::Rule | Kind::ShadowRule);
    let is_passed_over = is_rule && finding.result == Verdict::Skipped;
    let below = finding.findings.iter().filter(|_| !is_passed_over);
    below
        .into_iter()
        .try_for_each(|below| one(out, below, depth.saturating_add(1)))
}

fn waits(report: &Report, out: &mut fmt::Formatter<'_>) -> Result {
    let Some(waits) = &report.waits else { return Ok(()) };
    writeln!(out, "\nwould ask")?;
    writeln!(
        out,
        "  for {} of `{}`; this program asks nobody",
        waits.what, waits.of
    )?;
    writeln!(out, "  {}", waits.request)?;
    writeln!(
        out,
        "  through cluster `{}`, for {} s at the most",
        waits.cluster, waits.timeout_seconds
    )?;
    for (name, value) in &waits.parameters {
        writeln!(out, "    {name}: {value}")?;
    }
    Ok(())
}

fn decision(report: &Report, out: &mut fmt::Formatter<'_>) -> Result {
    let rule = report
        .rule
        .as_ref()
        .map(|rule| format!(", rule `{rule}`"))
        .unwrap_or_default();
    let reason = report.reason;
    match report.decision {
        Decision::Forward if report.decisions.iter().all(|counted| counted.is_shadow) => writeln!(
            out,
            "\ndecision   the request goes on, for the policy is in shadow; it would say {reason}{rule}"
        )?,
        Decision::Forward => writeln!(out, "\ndecision   the request goes on: {reason}{rule}")?,
        Decision::Refuse => writeln!(out, "\ndecision   refused: {reason}{rule}")?,
        Decision::Publish => writeln!(out, "\ndecision   answered by the filter itself: {reason}")?,
        Decision::Wait => {
            writeln!(
                out,
                "\ndecision   the request waits for the answer; without one, {reason}{rule}"
            )?;
        }
    }
    if let Some(answer) = &report.answer {
        write!(out, "\nanswer     {}", answer.status)?;
        match answer.grpc_status {
            Some(status) => writeln!(out, ", grpc-status {status}")?,
            None => writeln!(out)?,
        }
        for (name, value) in &answer.headers {
            writeln!(out, "  {name}: {value}")?;
        }
        if !answer.body.is_empty() {
            writeln!(out, "\n  {}", answer.body)?;
        }
    }
    if let Some(upstream) = &report.upstream {
        writeln!(out, "\nupstream   gets the request, changed so")?;
        for (name, value) in &upstream.set {
            writeln!(out, "  + {name}: {value}")?;
        }
        for name in &upstream.removed {
            writeln!(out, "  - {name}")?;
        }
        if upstream.set.is_empty() && upstream.removed.is_empty() {
            writeln!(out, "  nothing is changed")?;
        }
    }
    if !report.filter_state.is_empty() {
        writeln!(out, "\nfilter state")?;
        for (name, value) in &report.filter_state {
            writeln!(out, "  wasm.{name}: {}", value.escape_debug())?;
        }
    }
    writeln!(out, "\ncounted and logged")?;
    report.decisions.iter().try_for_each(|counted| line(out, counted))
}

fn line(out: &mut fmt::Formatter<'_>, counted: &Counted) -> Result {
    writeln!(out, "  {}", counted.metric)?;
    match &counted.log {
        Some(log) => writeln!(out, "  {log}"),
        None => Ok(()),
    }
}
