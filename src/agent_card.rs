//! Agent cards of A2A: what an agent says of itself, and of the credentials that it wants (A2A 0.3 §5, A2A 1.0 §4.4).
//!
//! A card is read in the shape that it has, its security is written anew in that shape and in no other, and all else stays
//! as it is. It does not know what the filter enforces: it is told, in [`Security`]. It fetches nothing, and believes nothing
//! of what a card says but where its agent's interfaces stand.

mod canonical;
mod interface;
mod requirement;
mod scheme;
mod signature;
#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::{Map, Value};

use crate::json;

pub use self::interface::{Interface, UnreadableUrl};

/// What a caller must send: any one of the alternatives. Without alternatives nothing is asked, and a card says nothing of
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Security {
    /// What alternatives are made of.
    pub schemes: Vec<Scheme>,
    /// Any one of them suffices.
    pub alternatives: Vec<Requirement>,
}

/// A kind of credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheme {
    /// The name that it has in a card, unless another definition there has it.
    pub name: String,
    /// What it is.
    pub kind: SchemeKind,
    /// What a reader should know besides.
    pub description: Option<String>,
}

/// What a scheme is (OpenAPI 3.2 §4.27, A2A 1.0 §4.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemeKind {
    /// A scheme of `Authorization` (RFC 9110 §16.4.1).
    Http {
        /// Its name: `bearer`, `basic`.
        scheme: String,
        /// What a bearer token looks like, as a hint.
        bearer_format: Option<&'static str>,
    },
    /// A value of its own.
    ApiKey {
        /// Where it stands.
        place: Place,
        /// The name of the header, the cookie or the parameter.
        name: String,
    },
    /// An OpenID provider.
    OpenIdConnect {
        /// Where its metadata stand.
        url: String,
    },
    /// An OAuth client of its own (RFC 6749 §4.4).
    OAuth2 {
        /// Where it asks for tokens.
        token_url: String,
        /// The scopes that it may ask for.
        scopes: Vec<String>,
    },
    /// A client certificate.
    MutualTls,
}

/// Where an API key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a header.
    Header,
    /// In a cookie.
    Cookie,
    /// In the query.
    Query,
}

/// What is asked for together; nothing for an anonymous caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Each scheme, by its place in [`Security::schemes`], and the scopes that are asked of it.
    pub schemes: Vec<(usize, Vec<String>)>,
}

/// What becomes of the security that a card declares of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// It goes: the filter terminates authentication.
    Replace,
    /// It is asked too: whatever the upstream asks for, it asks itself.
    And,
}

/// A card that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Card {
    members: Map<String, Value>,
    shape: Shape,
    /// The JSON-RPC answer whose `result` the card is, without it.
    answer: Option<Map<String, Value>>,
}

/// The shapes of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A2A 0.3: flat.
    V03,
    /// A2A 1.0: wrapped.
    V1,
    /// Both in one document, as servers of 1.0 write that have an interface of 0.3.
    Hybrid,
}

impl Card {
    /// From a document.
    ///
    /// # Errors
    /// [`NotACard`].
    pub fn read(document: &[u8]) -> Result<Self, NotACard> {
        Self::from_members(object(document)?)
    }

    /// From a JSON-RPC answer whose `result` it is; it is written back as such.
    ///
    /// # Errors
    /// [`NotACard`].
    pub fn read_answer(document: &[u8]) -> Result<Self, NotACard> {
        let mut answer = object(document)?;
        let Some(Value::Object(members)) = answer.remove("result") else {
            return Err(NotACard::NoResult);
        };
        let card = Self::from_members(members)?;
        Ok(Self {
            answer: Some(answer),
            ..card
        })
    }

    /// From an object's members.
    ///
    /// # Errors
    /// [`NotACard::NoInterfaces`], [`NotACard::TooManyInterfaces`].
    pub fn from_members(members: Map<String, Value>) -> Result<Self, NotACard> {
        let shape = shape(&members).ok_or(NotACard::NoInterfaces)?;
        if interface::are_too_many(&members) {
            return Err(NotACard::TooManyInterfaces);
        }
        Ok(Self {
            members,
            shape,
            answer: None,
        })
    }

    /// Whether it has a member that only cards have: many documents have a `url`.
    pub fn is_surely_one(&self) -> bool {
        let mut telling = TELLING.into_iter();
        telling.any(|name| member(&self.members, name).is_some())
    }

    /// The shape that it has.
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// Whether it carries signatures (A2A 1.0 §8.4), or what stands in their place.
    pub fn is_signed(&self) -> bool {
        match self.members.get("signatures") {
            None | Some(Value::Null) => false,
            Some(Value::Array(signatures)) => !signatures.is_empty(),
            Some(_) => true,
        }
    }

    /// Takes the signatures away.
    pub fn unsign(&mut self) {
        self.members.remove("signatures");
    }

    /// Where the agent's interfaces stand, in the card's order: the preferred one first.
    pub fn interfaces(&self) -> Vec<Result<Interface, UnreadableUrl>> {
        interface::of(&self.members)
    }

    /// Says what callers must send, in the card's shape and in no other; signatures do not fit any more.
    ///
    /// What stands at the top of the card goes, in every spelling that clients read, and of the schemes those that go with it:
    /// requirements of skills stay as they are, and so do the schemes that they name. With [`Merge::And`] all schemes stay,
    /// and each alternative is asked with each of the card's own, up to [`MAX_ALTERNATIVES`]: what is beyond is a way in
    /// that the card does not tell. Of the card's own, what cannot be read is such a way too.
    ///
    /// `fills_lists` is for cards that are signed: clients drop a scheme without scopes from what they verify, so that each
    /// is given a word. Only a scheme of OAuth without scopes is left without: an authorization server would be asked for
    /// the word, and refuse it.
    pub fn advertise(&mut self, security: &Security, merge: Merge, fills_lists: bool) {
        let mut asked = match merge {
            Merge::Replace => Vec::new(),
            Merge::And => requirement::declared(&self.members),
        };
        let asks_nothing = security.alternatives.is_empty();
        // What cannot be read stays as it is where nothing is put beside it.
        if merge == Merge::And && asks_nothing && asked.is_empty() {
            return;
        }
        let mut schemes = scheme::take(&mut self.members);
        if merge == Merge::Replace {
            schemes = requirement::named_by_skills(&self.members, &schemes);
        }
        if !asks_nothing {
            let mut names = Vec::new();
            for own in &security.schemes {
                names.push(scheme::place(&mut schemes, &own.name, own.definition(self.shape)));
            }
            asked = requirement::together(requirement::own(&security.alternatives, &names), &asked);
        }
        if fills_lists {
            requirement::fill(&mut asked, &schemes);
        }
        requirement::write(&mut self.members, asked, self.shape);
        if !schemes.is_empty() {
            scheme::put(&mut self.members, scheme::MEMBER, Value::Object(schemes));
        }
    }

    /// The document.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut document = Value::Object(self.members.clone());
        if let Some(answer) = &self.answer {
            let mut answer = answer.clone();
            answer.insert("result".into(), document);
            document = Value::Object(answer);
        }
        document.to_string().into_bytes()
    }
}

/// Why a document is no card that could be rewritten. The closed set of reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotACard {
    /// It is longer than [`MAX_BYTES`].
    TooLong,
    /// It is no JSON object, or one that may be read in two ways.
    Json(json::Error),
    /// The answer has no `result` that is an object.
    NoResult,
    /// It has no member that tells a shape, neither `url` nor `supportedInterfaces`.
    NoInterfaces,
    /// It has more interfaces than are looked at.
    TooManyInterfaces,
}

impl fmt::Display for NotACard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(formatter, "longer than {MAX_BYTES} bytes"),
            Self::Json(error) => error.fmt(formatter),
            Self::NoResult => formatter.write_str("the answer has no `result` that is an object"),
            Self::NoInterfaces => formatter.write_str("neither `url` nor `supportedInterfaces` is there"),
            Self::TooManyInterfaces => formatter.write_str("more than 64 interfaces"),
        }
    }
}

impl std::error::Error for NotACard {}

fn object(document: &[u8]) -> Result<Map<String, Value>, NotACard> {
    if document.len() > MAX_BYTES {
        return Err(NotACard::TooLong);
    }
    json::object(document, MAX_DEPTH).map_err(NotACard::Json)
}

fn shape(members: &Map<String, Value>) -> Option<Shape> {
    let is_there = |name| member(members, name).is_some();
    let is_v03 =
        is_there("url") || is_there("preferredTransport") || is_there(ADDITIONAL) || is_legacy(members, "");
    match (is_there("supportedInterfaces"), is_v03) {
        (true, true) => Some(Shape::Hybrid),
        (true, false) => Some(Shape::V1),
        (false, true) => Some(Shape::V03),
        (false, false) => None,
    }
}

/// A member under its name or under that of protobuf (`supported_interfaces`), which clients read too; `null` is none.
fn member<'m>(members: &'m Map<String, Value>, name: &str) -> Option<&'m Value> {
    members
        .get(name)
        .or_else(|| members.get(&snake_case(name)))
        .filter(|value| !value.is_null())
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// Whether the version is before 1.0, where none is said as told.
fn is_legacy(members: &Map<String, Value>, unsaid: &str) -> bool {
    let version = member(members, "protocolVersion").and_then(Value::as_str);
    version.unwrap_or(unsaid).starts_with("0.")
}

/// What cards have beside a `url` (A2A 0.3 §5.5, A2A 1.0 §4.4.1), one of them at least.
const TELLING: [&str; 6] = [
    "supportedInterfaces",
    "protocolVersion",
    "preferredTransport",
    ADDITIONAL,
    "skills",
    "capabilities",
];
const ADDITIONAL: &str = "additionalInterfaces";
/// The longest card that is read, whatever is configured: real ones are a few kilobytes.
pub const MAX_BYTES: usize = 1024 * 1024;
/// How deep a card may nest, an answer around it included. Real ones have 9 levels; parameters of extensions may hold
/// anything, and clients read up to 100 (protobuf).
const MAX_DEPTH: usize = 64;
/// How many alternatives are made of the card's own and ours, and how many of its own are looked at. Real cards have two
/// or three.
pub const MAX_ALTERNATIVES: usize = 64;
