//! Tokens: the filter against `jsonwebtoken`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::exceptions::Exceptions;
use crate::filter::{Compiled, Filter};
use crate::independent::Independent;
use crate::mutations::{Forge, MUTATIONS};

/// How many tokens of each mutation.
const TOKENS: usize = 220;

/// Every so many of them go through the compiled module, too.
const SAMPLE: usize = 19;

const SEED: u64 = 0x7065_6572_6761_7465;

/// What became of the tokens of one mutation.
#[derive(Default, Clone, Copy)]
struct Counts {
    accepted: usize,
    refused: usize,
    refused_by_filter_only: usize,
    excepted: usize,
}

#[test]
fn no_token_is_good_for_the_filter_only() {
    let (filter, independent, exceptions) = (Filter::new(), Independent::new(), Exceptions::load());
    let mut compiled = Compiled::new();
    let mut forge = Forge::new(SEED, jsonwebtoken::get_current_timestamp());
    let mut counts: BTreeMap<&str, Counts> = BTreeMap::new();
    let (mut failures, mut through_module) = (Vec::new(), 0);
    for number in 0..TOKENS {
        for (index, (name, make)) in MUTATIONS.iter().enumerate() {
            let token = make(&mut forge);
            let shown = || format!("{name}: {}", token.escape_ascii());
            let (ours, theirs, now) = both(&filter, &independent, &token);
            let counts = counts.entry(name).or_default();
            match (&ours, &theirs) {
                (Ok(ours), Ok(theirs)) if ours == theirs => counts.accepted += 1,
                (Ok(_), Ok(_)) => failures.push(format!("{}\n    is read in two ways", shown())),
                (Ok(_), Err(refusal)) => match exceptions.covers(refusal, &part(&token, 0), &part(&token, 1))
                {
                    true => counts.excepted += 1,
                    false => failures.push(format!("{}\n    the other: {refusal}", shown())),
                },
                (Err(_), Ok(_)) => counts.refused_by_filter_only += 1,
                (Err(_), Err(_)) => counts.refused += 1,
            }
            // Envoy lets no header through that holds one of these.
            let can_be_sent = !token.iter().any(|byte| b"\r\n\0".contains(byte));
            if (number + index) % SAMPLE == 0 && can_be_sent {
                through_module += 1;
                if compiled.admits(&token, now) != ours.is_ok() {
                    failures.push(format!("{}\n    natively: {ours:?}", shown()));
                }
            }
        }
    }
    report(&counts, through_module);
    assert!(failures.is_empty(), "{}\n{}", failures.len(), failures.join("\n"));
    assert_eq!(exceptions.unused(), Vec::<String>::new(), "no longer needed");
    let sum = |of: fn(&Counts) -> usize| counts.values().map(of).sum::<usize>();
    assert_eq!(sum(|counts| counts.excepted), exceptions.count());
    // The mutations reach both sides of the line.
    assert_eq!(counts["as issued"].accepted, TOKENS);
    assert!(sum(|counts| counts.accepted) > 1_000);
    assert!(sum(|counts| counts.refused) > 3_000);
    assert!(through_module > 300);
}

/// The claims of a token that is good, or why it is not.
type Verdict = Result<Map<String, Value>, String>;

/// Both verdicts for the same second.
fn both(filter: &Filter, independent: &Independent, token: &[u8]) -> (Verdict, Verdict, u64) {
    loop {
        let now = jsonwebtoken::get_current_timestamp();
        let (ours, theirs) = (filter.verify(token, now), independent.verify(token));
        if jsonwebtoken::get_current_timestamp() == now {
            return (ours, theirs, now);
        }
    }
}

/// Header or claims of a token that the filter took.
fn part(token: &[u8], segment: usize) -> Value {
    let text = token.split(|byte| *byte == b'.').nth(segment).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

fn report(counts: &BTreeMap<&str, Counts>, through_module: usize) {
    println!(
        "{:>9} {:>9} {:>11} {:>9}",
        "both take", "refuse", "filter only", "excepted"
    );
    let mut all = Counts::default();
    let line = |counts: &Counts, name: &str| {
        println!(
            "{:>9} {:>9} {:>11} {:>9}  {name}",
            counts.accepted, counts.refused, counts.refused_by_filter_only, counts.excepted
        );
    };
    for (name, counts) in counts {
        line(counts, name);
        all.accepted += counts.accepted;
        all.refused += counts.refused;
        all.refused_by_filter_only += counts.refused_by_filter_only;
        all.excepted += counts.excepted;
    }
    line(&all, "all");
    println!("{through_module} of them through the module");
}
