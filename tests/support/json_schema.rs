//! As much of JSON Schema, draft 7, as the schema of the configuration uses. A keyword that is not known here is an error of
//! the test: none is ignored.

use regex_lite::Regex;
use serde_json::{Map, Value};

/// A schema, with what its references lead to.
#[derive(Debug)]
pub(crate) struct Schema(Value);

/// A value that a part of the schema is about.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    /// Where the part stands in the schema, by its last reference.
    pub(crate) part: String,
    /// Where the value stands.
    pub(crate) place: Vec<Step>,
    /// The part itself, without references.
    pub(crate) schema: Value,
}

/// One step from the root of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Member(String),
    Index(usize),
}

impl Schema {
    pub(crate) fn new(text: &str) -> Self {
        Self(serde_json::from_str(text).unwrap())
    }

    pub(crate) const fn root(&self) -> &Value {
        &self.0
    }

    /// Where something is wrong, as the reader writes places.
    pub(crate) fn faults(&self, instance: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        self.check(&self.0, instance, &[], &mut faults);
        faults.iter().map(|place| written(place)).collect()
    }

    /// Every value that a part of the schema is about, but for what alternatives and conditions say.
    pub(crate) fn visits(&self, instance: &Value) -> Vec<Visit> {
        let mut visits = Vec::new();
        self.visit(
            &self.0["definitions"]["policy"],
            "policy",
            instance,
            &[],
            &mut visits,
        );
        visits
    }

    /// Every part with members of its own, as `visits` names them.
    pub(crate) fn objects(&self) -> Vec<String> {
        let mut objects = Vec::new();
        for (name, definition) in self.0["definitions"].as_object().unwrap() {
            self.collect(name, definition, &mut objects);
        }
        objects
    }

    fn collect(&self, part: &str, schema: &Value, objects: &mut Vec<String>) {
        if schema.get("properties").is_some() {
            objects.push(part.to_owned());
        }
        for (step, inner) in children(schema) {
            self.collect(&format!("{part}/{step}"), inner, objects);
        }
    }

    /// What a reference leads to, and its name.
    pub(crate) fn resolved<'s>(&'s self, part: &str, schema: &'s Value) -> (String, &'s Value) {
        match schema.get("$ref") {
            Some(reference) => {
                let name = reference
                    .as_str()
                    .unwrap()
                    .strip_prefix("#/definitions/")
                    .unwrap();
                self.resolved(name, &self.0["definitions"][name])
            }
            None => (part.to_owned(), schema),
        }
    }

    fn visit(&self, schema: &Value, part: &str, instance: &Value, place: &[Step], visits: &mut Vec<Visit>) {
        let (part, schema) = self.resolved(part, schema);
        visits.push(Visit {
            part: part.clone(),
            place: place.to_vec(),
            schema: schema.clone(),
        });
        let own = |name: &str| {
            schema
                .get("properties")
                .and_then(|properties| properties.get(name))
        };
        if let Some(members) = instance.as_object() {
            for (name, value) in members {
                let place = followed(place, Step::Member(name.clone()));
                match (own(name), schema.get("additionalProperties")) {
                    (Some(inner), _) => {
                        self.visit(inner, &format!("{part}/{name}"), value, &place, visits);
                    }
                    (None, Some(inner)) if inner.is_object() => {
                        self.visit(inner, &format!("{part}/*"), value, &place, visits);
                    }
                    _ => {}
                }
            }
        }
        if let (Some(entries), Some(inner)) = (instance.as_array(), schema.get("items"))
            && inner.is_object()
        {
            for (index, value) in entries.iter().enumerate() {
                let place = followed(place, Step::Index(index));
                self.visit(inner, &format!("{part}/[]"), value, &place, visits);
            }
        }
    }

    fn check(&self, schema: &Value, instance: &Value, place: &[Step], faults: &mut Vec<Vec<Step>>) {
        if let Value::Bool(allowed) = schema {
            if !allowed {
                faults.push(place.to_vec());
            }
            return;
        }
        let keywords = schema.as_object().unwrap();
        for (keyword, argument) in keywords {
            let is_good = match keyword.as_str() {
                "$ref" => {
                    self.check(self.resolved("", schema).1, instance, place, faults);
                    true
                }
                "properties" | "additionalProperties" | "propertyNames" | "required" | "dependencies" => {
                    if let Some(members) = instance.as_object() {
                        self.check_members((keyword, argument), keywords, members, place, faults);
                    }
                    true
                }
                "items" => {
                    for (index, value) in instance.as_array().into_iter().flatten().enumerate() {
                        self.check(argument, value, &followed(place, Step::Index(index)), faults);
                    }
                    true
                }
                "allOf" => {
                    for inner in argument.as_array().unwrap() {
                        self.check(inner, instance, place, faults);
                    }
                    true
                }
                "anyOf" => argument
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|inner| self.holds(inner, instance)),
                "not" => !self.holds(argument, instance),
                "if" => {
                    let branch = if self.holds(argument, instance) {
                        "then"
                    } else {
                        "else"
                    };
                    if let Some(inner) = keywords.get(branch) {
                        self.check(inner, instance, place, faults);
                    }
                    true
                }
                keyword => is_plainly_good(keyword, argument, instance),
            };
            if !is_good {
                faults.push(place.to_vec());
            }
        }
    }

    fn check_members(
        &self,
        (keyword, argument): (&str, &Value),
        keywords: &Map<String, Value>,
        members: &Map<String, Value>,
        place: &[Step],
        faults: &mut Vec<Vec<Step>>,
    ) {
        let at = |name: &str| followed(place, Step::Member(name.to_owned()));
        match keyword {
            "properties" => {
                for (name, inner) in argument.as_object().unwrap() {
                    if let Some(value) = members.get(name) {
                        self.check(inner, value, &at(name), faults);
                    }
                }
            }
            "additionalProperties" => {
                let own = keywords.get("properties");
                let others = members
                    .iter()
                    .filter(|(name, _)| own.is_none_or(|own| own.get(*name).is_none()));
                for (name, value) in others {
                    self.check(argument, value, &at(name), faults);
                }
            }
            "propertyNames" => {
                for name in members.keys() {
                    self.check(argument, &Value::from(name.as_str()), &at(name), faults);
                }
            }
            "required" => {
                let names = argument
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|name| name.as_str().unwrap());
                faults.extend(names.filter(|name| !members.contains_key(*name)).map(at));
            }
            _ => {
                for (name, inner) in argument.as_object().unwrap() {
                    if members.contains_key(name) {
                        self.check(inner, &Value::Object(members.clone()), place, faults);
                    }
                }
            }
        }
    }

    fn holds(&self, schema: &Value, instance: &Value) -> bool {
        let mut faults = Vec::new();
        self.check(schema, instance, &[], &mut faults);
        faults.is_empty()
    }
}

fn is_plainly_good(keyword: &str, argument: &Value, instance: &Value) -> bool {
    let number = |value: &Value| value.as_f64().unwrap();
    let size = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
    match keyword {
        "type" => match argument {
            Value::Array(kinds) => kinds.iter().any(|kind| is_kind(instance, kind.as_str().unwrap())),
            kind => is_kind(instance, kind.as_str().unwrap()),
        },
        "enum" => argument
            .as_array()
            .unwrap()
            .iter()
            .any(|value| is_equal(value, instance)),
        "const" => is_equal(argument, instance),
        "minimum" => !instance.is_number() || number(instance) >= number(argument),
        "maximum" => !instance.is_number() || number(instance) <= number(argument),
        "minLength" => instance
            .as_str()
            .is_none_or(|text| text.chars().count() >= size(argument)),
        "maxLength" => instance
            .as_str()
            .is_none_or(|text| text.chars().count() <= size(argument)),
        "pattern" => {
            let pattern = Regex::new(argument.as_str().unwrap()).unwrap();
            instance.as_str().is_none_or(|text| pattern.is_match(text))
        }
        "minItems" => instance
            .as_array()
            .is_none_or(|entries| entries.len() >= size(argument)),
        "maxItems" => instance
            .as_array()
            .is_none_or(|entries| entries.len() <= size(argument)),
        "uniqueItems" => instance.as_array().is_none_or(|entries| {
            entries
                .iter()
                .enumerate()
                .all(|(index, entry)| !entries[..index].contains(entry))
        }),
        "$schema"
        | "definitions"
        | "title"
        | "description"
        | "default"
        | "examples"
        | "errorMessage"
        | "patternErrorMessage"
        | "markdownEnumDescriptions"
        | "defaultSnippets"
        | "then"
        | "else" => true,
        other => panic!("keyword `{other}` is not known here"),
    }
}

fn is_kind(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        other => panic!("kind `{other}`"),
    }
}

fn is_equal(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

fn children(schema: &Value) -> Vec<(String, &Value)> {
    let mut children = Vec::new();
    if let Some(properties) = schema.get("properties") {
        let members = properties.as_object().unwrap().iter();
        children.extend(members.map(|(name, inner)| (name.clone(), inner)));
    }
    for (keyword, step) in [("additionalProperties", "*"), ("items", "[]")] {
        children.extend(
            schema
                .get(keyword)
                .filter(|inner| inner.is_object())
                .map(|inner| (step.to_owned(), inner)),
        );
    }
    children
}

fn followed(place: &[Step], step: Step) -> Vec<Step> {
    place.iter().cloned().chain([step]).collect()
}

/// As the reader writes it.
pub(crate) fn written(place: &[Step]) -> String {
    let is_plain = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    let mut text = String::new();
    for step in place {
        match step {
            Step::Index(index) => text += &format!("[{index}]"),
            Step::Member(name) if !is_plain(name) => text += &format!("[\"{}\"]", on_one_line(name)),
            Step::Member(name) if text.is_empty() => text += name,
            Step::Member(name) => text += &format!(".{name}"),
        }
    }
    if text.is_empty() {
        "configuration".into()
    } else {
        text
    }
}

fn on_one_line(name: &str) -> String {
    let escaped = |character: char| match character.is_control() {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    };
    name.chars().map(escaped).collect()
}

/// The value at a place.
pub(crate) fn at<'v>(root: &'v mut Value, place: &[Step]) -> &'v mut Value {
    place.iter().fold(root, |value, step| match step {
        Step::Member(name) => value
            .as_object_mut()
            .unwrap()
            .entry(name.as_str())
            .or_insert(Value::Null),
        Step::Index(index) => &mut value[*index],
    })
}
