//! The JSON Schema of the configuration against the reader: neither knows a member, a word or a limit that the other does
//! not.
//!
//! What is tried are the policies of `tests/config`, `tests/hints`, `tests/cases` and `tests/policies`, as they are and with
//! one thing changed. A member without a value (null) is absent to the reader, and a fault to the schema, for in an
//! editor it is one that is not written yet; so nulls are taken out before, where the schema does not name them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "clippy knows tests by their attribute, and helpers have none"
)]

#[path = "support/json_schema.rs"]
mod json_schema;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::Path;
use std::{fs, iter};

use peergate_filter::config::problem::{ProviderProblem, ShapeProblem};
use peergate_filter::config::{self, Document, Environment, Errors, Problem};
use peergate_filter::schema;
use serde::Deserialize;
use serde_json::{Value, json};

use json_schema::{Schema, Step, Visit, at, written};

/// A policy, and what is around it.
struct Case {
    name: String,
    policy: Value,
    environment: BTreeMap<String, String>,
    workload: Option<String>,
    namespace: Option<String>,
}

impl Case {
    fn load(&self, policy: &Value) -> Result<(), Errors> {
        let environment = Environment {
            variables: self.environment.clone(),
            workload: self.workload.clone(),
            namespace: self.namespace.clone(),
        };
        let document: Document = serde_json::from_value(policy.clone()).unwrap();
        config::load(&document, &environment).map(|_| ())
    }
}

#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    case: String,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    workload: Option<String>,
    namespace: Option<String>,
    policy: Option<Value>,
    inbound: Option<Value>,
    outbound: Option<Value>,
}

fn files(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<(String, String)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap()))
        .collect();
    files.sort();
    files
}

fn read<T: serde::de::DeserializeOwned>(file: &str, text: &str) -> T {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for folder in ["tests/config", "tests/hints"] {
        for (file, text) in files(folder) {
            for written in read::<Vec<Written>>(&file, &text) {
                cases.push(case(&file, written));
            }
        }
    }
    for (file, text) in files("tests/cases") {
        cases.push(case(&file, read(&file, &text)));
    }
    for (file, text) in files("tests/policies") {
        let policy = Some(read(&file, &text));
        cases.push(case(
            &file,
            Written {
                policy,
                ..read("", "{}")
            },
        ));
    }
    for file in [
        "README.md",
        "docs/configuration.md",
        "docs/keys.md",
        "docs/placements.md",
        "docs/totp.md",
    ] {
        cases.extend(documented(file));
    }
    for case in &mut cases {
        without_nulls(&mut case.policy);
    }
    cases
}

/// The policies in a document, with a value for each variable: a seed, which is a good key as well.
fn documented(file: &str) -> Vec<Case> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let blocks = text
        .split("```yaml\n")
        .skip(1)
        .filter_map(|block| block.split("```").next());
    let policies = blocks.filter(|block| block.starts_with("version: 1\n"));
    policies
        .map(|policy| {
            let names = policy
                .split("{env: ")
                .skip(1)
                .filter_map(|rest| rest.split('}').next());
            let environment =
                names.map(|name| (name.to_owned(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".to_owned()));
            Case {
                name: file.to_owned(),
                policy: read(file, policy),
                environment: environment.collect(),
                workload: Some("charlie".into()),
                namespace: Some("agents".into()),
            }
        })
        .collect()
}

fn case(file: &str, written: Written) -> Case {
    let policy = written.policy.unwrap_or_else(|| {
        let halves = [("inbound", written.inbound), ("outbound", written.outbound)];
        let halves = halves
            .into_iter()
            .filter_map(|(name, half)| Some((name.to_owned(), half?)));
        Value::Object(
            iter::once(("version".to_owned(), json!(1)))
                .chain(halves)
                .collect(),
        )
    });
    Case {
        name: format!("{file}: {}", written.case),
        policy,
        environment: written.environment,
        workload: written.workload.or(Some("charlie".into())),
        namespace: written.namespace.or(Some("agents".into())),
    }
}

/// Takes out what is absent; and puts a key set where the cases have a word for theirs.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            let named = ["peer", "sub", "iss", "method"];
            members.retain(|name, value| !value.is_null() || named.contains(&name.as_str()));
            if [json!("keys"), json!("other keys")]
                .iter()
                .any(|word| members.get("inline") == Some(word))
            {
                members.insert("inline".into(), json!({"keys": []}));
            }
            members.values_mut().for_each(without_nulls);
        }
        Value::Array(entries) => entries.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

fn policy_schema() -> Schema {
    Schema::new(schema::POLICY)
}

/// Those that the reader takes. Those of `tests/cases` are good: they have no keys here.
fn accepted() -> Vec<Case> {
    let mut accepted = cases();
    accepted.retain(|case| case.name.contains("tests/cases/") || case.load(&case.policy).is_ok());
    accepted
}

#[test]
fn what_the_reader_takes_is_good() {
    let schema = policy_schema();
    let accepted = accepted();
    assert!(accepted.len() > 200, "only {}", accepted.len());
    let refused: Vec<String> = accepted
        .iter()
        .map(|case| (&case.name, schema.faults(&case.policy)))
        .filter(|(_, faults)| !faults.is_empty())
        .map(|(name, faults)| format!("{name}: {faults:?}"))
        .collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

/// What of a refused policy an editor shows, by the kinds of faults.
#[test]
fn which_faults_a_schema_sees() {
    let schema = policy_schema();
    let mut seen: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut missed = Vec::new();
    for case in cases() {
        let Err(errors) = case.load(&case.policy) else {
            continue;
        };
        if !case.name.contains("tests/config/") {
            continue;
        }
        let faults = schema.faults(&case.policy);
        for error in errors.iter() {
            let is_seen = faults.iter().any(|fault| is_near(fault, error.path()));
            let kind = kind(error.problem());
            let count = seen.entry(kind.clone()).or_default();
            if is_seen {
                count.0 += 1;
            } else {
                count.1 += 1;
                missed.push(format!("{kind}: {}: {error}", case.name));
            }
        }
    }
    let of = |wanted: fn(&(usize, usize)) -> bool| -> Vec<&str> {
        let kinds = seen.iter().filter(|(_, count)| wanted(count));
        kinds.map(|(kind, _)| kind.as_str()).collect()
    };
    let found = [
        of(|(_, missed)| *missed == 0),
        of(|(seen, missed)| *seen > 0 && *missed > 0),
        of(|(seen, _)| *seen == 0),
    ];
    assert_eq!(
        found,
        [ALWAYS_SEEN, SOMETIMES_SEEN, NEVER_SEEN],
        "{}",
        missed.join("\n")
    );
}

/// The same place, or one around it, or within it.
fn is_near(fault: &str, error: &str) -> bool {
    let is_at_the_top = |place: &str| !place.contains(['.', '[']);
    // How many steps one place is below the other.
    let below = |inner: &str, outer: &str| {
        let rest = inner.strip_prefix(outer)?;
        let steps = rest.matches(['.', '[']).count();
        (rest.is_empty() || rest.starts_with(['.', '['])).then_some(steps)
    };
    is_at_the_top(fault) && is_at_the_top(error)
        || below(fault, error).is_some_and(|steps| steps <= 1 || fault.ends_with(".match.clusters"))
        || below(error, fault).is_some_and(|steps| steps <= 1)
}

/// `Shape::Missing`, out of what `Debug` prints.
fn kind(problem: &Problem) -> String {
    let printed = format!("{problem:?}");
    let mut words = printed.split(|character: char| !character.is_ascii_alphanumeric());
    format!("{}::{}", words.next().unwrap(), words.next().unwrap())
}

/// Every object of the schema, with each of the places where a policy has it.
fn visits(accepted: &[Case]) -> BTreeMap<String, Vec<(&Case, Visit)>> {
    let schema = policy_schema();
    let mut visits: BTreeMap<String, Vec<(&Case, Visit)>> = BTreeMap::new();
    for case in accepted.iter().filter(|case| !case.name.contains("tests/cases/")) {
        for visit in schema.visits(&case.policy) {
            visits.entry(visit.part.clone()).or_default().push((case, visit));
        }
    }
    visits
}

/// Whether what is done to one of the policies makes the reader say what is wanted: the first one may not come so far.
fn says(
    places: &[(&Case, Visit)],
    change: impl Fn(&mut Value, &Visit),
    is_wanted: impl Fn(&str, &Problem, &Visit) -> bool,
) -> Result<(), String> {
    let mut said = String::new();
    for (case, visit) in places.iter().take(TRIED) {
        let mut policy = case.policy.clone();
        change(&mut policy, visit);
        match case.load(&policy) {
            Ok(()) => said += &format!("  {}: accepted\n", case.name),
            Err(errors) => {
                if errors
                    .iter()
                    .any(|error| is_wanted(error.path(), error.problem(), visit))
                {
                    return Ok(());
                }
                said += &format!("  {}: {}: {errors}\n", case.name, written(&visit.place));
            }
        }
    }
    Err(said)
}

fn names(members: &Value) -> BTreeSet<&str> {
    members.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn every_object_has_the_members_that_the_reader_knows() {
    let accepted = accepted();
    let visits = visits(&accepted);
    let mut failures = Vec::new();
    for part in policy_schema().objects() {
        let Some(places) = visits.get(&part) else {
            failures.push(format!("{part}: no policy has one"));
            continue;
        };
        let add = |policy: &mut Value, visit: &Visit| {
            let object = at(policy, &visit.place);
            if !object.is_object() {
                *object = json!({});
            }
            object["zz-unknown"] = json!(1);
        };
        if OPEN.contains(&part.as_str()) {
            if says(places, add, |_, _, _| true).is_ok() {
                failures.push(format!("{part}: takes no member of its own"));
            }
            continue;
        }
        let result = says(places, add, |path, problem, visit| match problem {
            Problem::Shape(ShapeProblem::UnknownMember { known, .. }) => {
                path == inside(&visit.place, "zz-unknown")
                    && known.iter().copied().collect::<BTreeSet<_>>() == names(&visit.schema["properties"])
            }
            // The names of members of a secret are not repeated: they are held against the reader by their values below.
            problem => {
                path == written(&visit.place)
                    && ["Secret::Member", "Peer::KeyMember"].contains(&kind(problem).as_str())
            }
        });
        failures.extend(result.err().map(|said| format!("{part}:\n{said}")));
        if visits[&part][0].1.schema["additionalProperties"] != json!(false) {
            failures.push(format!("{part}: takes members that the reader refuses"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_member_is_of_the_kind_that_the_reader_asks_for() {
    let accepted = accepted();
    let schema = policy_schema();
    let mut failures = Vec::new();
    for (part, places) in visits(&accepted) {
        if let Some(properties) = places[0].1.schema.get("properties") {
            for (name, member) in properties.as_object().unwrap() {
                let (_, member) = schema.resolved("", member);
                let put = |policy: &mut Value, visit: &Visit| {
                    let alone = &visit.schema["dependencies"][name.as_str()]["properties"];
                    if let Some(object) = at(policy, &visit.place).as_object_mut() {
                        object.retain(|other, _| alone.get(other).is_none());
                        object.insert(name.clone(), wrong(member));
                    }
                };
                let is_named = |path: &str, _: &Problem, visit: &Visit| path == inside(&visit.place, name);
                let result = says(&places, put, is_named);
                failures.extend(result.err().map(|said| format!("{part}/{name}:\n{said}")));
            }
        }
        // What stands in lists, and under names of the author's.
        if part.ends_with("/[]") || part.ends_with("/*") {
            let put = |policy: &mut Value, visit: &Visit| *at(policy, &visit.place) = wrong(&visit.schema);
            let result = says(&places, put, |path, _, visit| path == written(&visit.place));
            failures.extend(result.err().map(|said| format!("{part}:\n{said}")));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn words_and_limits_are_those_of_the_reader() {
    let accepted = accepted();
    let schema = policy_schema();
    let (mut failures, mut compared) = (Vec::new(), 0);
    for (part, places) in visits(&accepted) {
        let Some(properties) = places[0].1.schema.get("properties") else {
            continue;
        };
        for (name, member) in properties.as_object().unwrap() {
            let (_, member) = schema.resolved("", member);
            let (is_list, member) = match member.get("items") {
                Some(items) => (true, items),
                None => (false, member),
            };
            let mut attempt = |value: Value, is_wanted: &dyn Fn(&Problem) -> bool| {
                compared += 1;
                let value = if is_list { json!([value]) } else { value };
                let put = |policy: &mut Value, visit: &Visit| {
                    let object = at(policy, &visit.place);
                    if object.is_object() {
                        object[name.as_str()] = value.clone();
                    }
                };
                let result = says(&places, put, |path, problem, visit| {
                    let place = inside(&visit.place, name);
                    (path == place || path == format!("{place}[0]")) && is_wanted(problem)
                });
                failures.extend(result.err().map(|said| format!("{part}/{name} {value}:\n{said}")));
            };
            if let Some(words) = member.get("enum") {
                let words: BTreeSet<String> = words
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|word| word.as_str().map_or_else(|| word.to_string(), str::to_owned))
                    .collect();
                let is_number = member["type"] == "integer";
                let unknown = if is_number { json!(7) } else { json!("zz-none") };
                attempt(unknown, &|problem| has_words(problem, &words));
            }
            if let (Some(least), Some(most)) = (member.get("minimum"), member.get("maximum")) {
                let range = least.as_i64().unwrap()..=most.as_i64().unwrap();
                // A rule's window may be as wide as the policy's at the most.
                let is_within = |own: &RangeInclusive<i64>| name == "window_steps" && own.end() < range.end();
                let is_same = |own: &RangeInclusive<i64>| *own == range || is_within(own);
                for value in [range.start() - 1, range.end() + 1] {
                    attempt(
                        json!(value),
                        &|problem| matches!(problem, Problem::Shape(ShapeProblem::NotWithin { range: own, .. }) if is_same(own)),
                    );
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(compared > 60, "only {compared}");
}

fn has_words(problem: &Problem, words: &BTreeSet<String>) -> bool {
    let own: Vec<&str> = match problem {
        Problem::Shape(ShapeProblem::NotOneOf { choices, .. }) => choices.clone(),
        // `Ed25519` is `EdDSA` by another name (RFC 9864).
        Problem::Provider(ProviderProblem::AlgorithmUnknown { known, .. }) => {
            known.iter().copied().chain(["Ed25519"]).collect()
        }
        // These say their words in a sentence.
        other => {
            let text = format!("{other} {}", other.help().unwrap_or_default());
            return words.iter().all(|word| text.contains(word.as_str()));
        }
    };
    own.iter().map(|word| (*word).to_owned()).collect::<BTreeSet<_>>() == *words
}

#[test]
fn what_is_required_is_required_by_the_reader() {
    let accepted = accepted();
    let mut failures = Vec::new();
    for (part, places) in visits(&accepted) {
        let required = places[0]
            .1
            .schema
            .get("required")
            .and_then(Value::as_array)
            .cloned();
        for name in required.unwrap_or_default() {
            let name = name.as_str().unwrap();
            let take = |policy: &mut Value, visit: &Visit| {
                if let Some(object) = at(policy, &visit.place).as_object_mut() {
                    object.remove(name);
                }
            };
            let result = says(&places, take, |path, _, visit| path == inside(&visit.place, name));
            failures.extend(result.err().map(|said| format!("{part}/{name}:\n{said}")));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// An editor explains what has a description, and offers what has a default or an example.
#[test]
fn every_member_is_explained() {
    fn look(place: &str, schema: &Schema, part: &Value, lacking: &mut Vec<String>) {
        for (name, member) in part
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let place = format!("{place}.{name}");
            let (_, resolved) = schema.resolved("", member);
            if member
                .get("description")
                .or(resolved.get("description"))
                .is_none()
            {
                lacking.push(format!("{place}: no description"));
            }
            let offers = ["default", "examples", "enum", "properties"];
            let has = |part: &Value| offers.iter().any(|keyword| part.get(keyword).is_some());
            let entries = |part: &Value| part.get("items").is_some_and(&has);
            if !has(member) && !has(resolved) && !entries(resolved) {
                lacking.push(format!("{place}: neither a default nor an example"));
            }
            look(&place, schema, member, lacking);
        }
        for keyword in ["items", "additionalProperties"] {
            if let Some(inner) = part.get(keyword) {
                look(place, schema, inner, lacking);
            }
        }
    }
    let schema = policy_schema();
    let mut lacking = Vec::new();
    for (name, definition) in schema.root()["definitions"].as_object().unwrap() {
        look(name, &schema, definition, &mut lacking);
    }
    assert!(lacking.is_empty(), "{}", lacking.join("\n"));
}

/// A value of a kind that is not among those of the schema.
fn wrong(schema: &Value) -> Value {
    let kinds: Vec<&str> = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        Some(kind) => vec![kind.as_str().unwrap()],
        None => panic!("{schema}: no type"),
    };
    match kinds.contains(&"string") || kinds.contains(&"object") {
        true => json!(7),
        false => json!("zz"),
    }
}

fn inside(place: &[Step], name: &str) -> String {
    let place: Vec<Step> = place
        .iter()
        .cloned()
        .chain([Step::Member(name.to_owned())])
        .collect();
    written(&place)
}

/// How many policies are tried with one fault: what stands before a member can keep the reader from looking at it.
const TRIED: usize = 40;

/// Formats of their own, of which the reader looks at some members.
const OPEN: &[&str] = &["jwks/inline"];

/// Faults that an editor shows wherever they are.
const ALWAYS_SEEN: &[&str] = &[
    "Document::NoHalf",
    "Document::RoleWithoutHalf",
    "Document::ShadowAll",
    "Document::ShadowNothing",
    "Document::Version",
    "Header::Name",
    "KeySource::NothingFetched",
    "KeySource::UriWithoutDiscovery",
    "Location::Cookie",
    "Location::Parameter",
    "Location::Prefix",
    "Oauth::IssuerMissing",
    "Oauth::NameOfProvider",
    "Oauth::OwnParameter",
    "Oauth::TokenType",
    "Outbound::CookieName",
    "Outbound::ParameterName",
    "Peer::KeyMember",
    "Peer::KeyShape",
    "Peer::KeySource",
    "Peer::Principal",
    "Peer::Scope",
    "Provider::AlgorithmUnknown",
    "Provider::AudiencesMissing",
    "Provider::KidTooLong",
    "Rule::AcceptAndDeny",
    "Rule::AcceptUnknown",
    "Rule::AlgorithmNotSigned",
    "Rule::ClaimAsserted",
    "Rule::ClaimForwarded",
    "Rule::Header",
    "Rule::JsonRpcCodeTaken",
    "Rule::Method",
    "Rule::NameReserved",
    "Rule::NeitherAcceptNorDeny",
    "Rule::ResourceQuery",
    "Rule::Separator",
    "Rule::TooManySigningKeys",
    "Secret::NotOneSource",
    "Secret::Shape",
    "Secret::VariableName",
    "Shape::EmptyList",
    "Shape::Excluding",
    "Shape::Missing",
    "Shape::Name",
    "Shape::NoneOf",
    "Shape::NotOneOf",
    "Shape::Repeated",
    "Shape::UnknownMember",
    "Shape::UrlForHost",
    "Shape::ValueNotSupportedYet",
    "Shape::WrongKind",
];

/// Faults that it shows in some places.
const SOMETIMES_SEEN: &[&str] = &[
    "Header::Reserved",
    "Oauth::ClientUnknown",
    "Oauth::NotWith",
    "Oauth::Resource",
    "Outbound::Host",
    "Peer::Key",
    "Peer::ProviderUnknown",
    "Provider::ClaimPath",
    "Rule::Host",
    "Rule::Path",
    "Rule::ResourceUrl",
    "Rule::Template",
    "Secret::Empty",
    "Shape::EmptyText",
    "Shape::NotWithin",
];

/// Faults that no schema sees: they are about several values at once, the proxy's environment, or the inside of a value.
const NEVER_SEEN: &[&str] = &[
    "Card::Host",
    "Card::KidTwice",
    "Card::NoHost",
    "Card::NoKey",
    "Card::NoKeysToServe",
    "Card::NotACard",
    "Card::NothingSigned",
    "Card::PathTaken",
    "Card::TokenUrl",
    "Header::Owned",
    "Header::Taken",
    "KeySource::IssuerIsNoUrl",
    "KeySource::SealingKeyTooShort",
    "KeySource::StaleBeforeFetched",
    "KeySource::Url",
    "Location::HeaderTwice",
    "Location::Nowhere",
    "Location::Taken",
    "Location::TooMany",
    "Oauth::ClientId",
    "Oauth::ColonInId",
    "Oauth::IntrospectionUnknown",
    "Oauth::SigningKey",
    "Oauth::SubjectMissing",
    "Oauth::VerifyMissing",
    "Outbound::BoundMalformed",
    "Outbound::CookieValue",
    "Outbound::HeaderTwice",
    "Outbound::HeaderValue",
    "Outbound::NoSeed",
    "Outbound::OutOfBound",
    "Outbound::QueryDisabled",
    "Outbound::QueryHostNotAllowed",
    "Outbound::QueryWithoutHosts",
    "Outbound::SchemeWithoutSpace",
    "Outbound::SecretAnywhere",
    "Outbound::Username",
    "Peer::KeyCharacter",
    "Peer::KeyTwice",
    "Peer::PeerUnknown",
    "Peer::PrincipalTwice",
    "Peer::Seed",
    "Peer::TokenTwice",
    "Provider::AlgorithmNeedsKeys",
    "Provider::AlgorithmNeedsSecrets",
    "Provider::IssuerReserved",
    "Provider::IssuerTwice",
    "Provider::NoKeyForAlgorithms",
    "Provider::NoUsableKey",
    "Provider::SecretTooShort",
    "Provider::TooManySecrets",
    "Rule::AcceptRedundant",
    "Rule::AcceptsNobody",
    "Rule::BindsNothing",
    "Rule::BindsSharedSeeds",
    "Rule::CertificatesUnvalidated",
    "Rule::HeaderOwned",
    "Rule::KidTwice",
    "Rule::NameIsIndex",
    "Rule::NameTwice",
    "Rule::OnlyTokens",
    "Rule::PassthroughElsewhere",
    "Rule::PathPublished",
    "Rule::Realm",
    "Rule::ReplayWeaker",
    "Rule::RequireWithDeny",
    "Rule::RequireWithNone",
    "Rule::ResourceTwice",
    "Rule::SecretPublished",
    "Rule::SigningKey",
    "Rule::TotpWithoutSeed",
    "Secret::IsUnsealingKey",
    "Secret::Sealed",
    "Secret::SealedVariables",
    "Secret::UnsealingKey",
    "Secret::UnsealingKeyUnset",
    "Secret::Unset",
    "Secret::VariableEmpty",
    "Text::IsUnsealingKey",
    "Text::Name",
    "Text::Unset",
    "Text::Unterminated",
];
