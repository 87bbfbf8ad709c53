//! Definitions of schemes, in both shapes (A2A 0.3 §5.5, A2A 1.0 §4.5).

use serde_json::{Map, Value};

use super::{Place, Scheme, SchemeKind, Shape, snake_case};

/// The member of a card that holds them, in both shapes.
pub(super) const MEMBER: &str = "securitySchemes";

impl Scheme {
    /// As it stands in a card. In a hybrid it has nested and flat members: clients of 1.0 let the flat ones win.
    pub(super) fn definition(&self, shape: Shape) -> Value {
        let mut members = Map::new();
        let kind = self.kind.write(&mut members);
        if let Some(description) = &self.description {
            put(&mut members, "description", description.as_str().into());
        }
        let mut definition = Map::new();
        if shape != Shape::V1 {
            put(&mut definition, "type", kind.flat.into());
            for (name, value) in &members {
                // The 0.3 client refuses a card for one `location` in place of `in`.
                let name = if name == "location" { "in" } else { name };
                put(&mut definition, name, value.clone());
            }
        }
        if shape != Shape::V03 {
            put(&mut definition, kind.wrapped, Value::Object(members));
        }
        Value::Object(definition)
    }
}

impl SchemeKind {
    /// What a scheme of it says, as 1.0 calls it.
    fn write(&self, members: &mut Map<String, Value>) -> &'static Kind {
        let (kind, texts) = match self {
            Self::Http {
                scheme,
                bearer_format,
            } => (&HTTP, [Some(scheme.as_str()), *bearer_format]),
            Self::ApiKey { place, name } => {
                let place = match place {
                    Place::Header => "header",
                    Place::Cookie => "cookie",
                    Place::Query => "query",
                };
                (&API_KEY, [Some(place), Some(name.as_str())])
            }
            Self::OpenIdConnect { url } => (&OPEN_ID_CONNECT, [Some(url.as_str()), None]),
            Self::OAuth2 { token_url, scopes } => {
                let mut described = Map::new();
                for scope in scopes {
                    put(&mut described, scope, "".into());
                }
                let mut flow = Map::new();
                put(&mut flow, "tokenUrl", token_url.as_str().into());
                put(&mut flow, "scopes", Value::Object(described));
                put(members, "flows", within("clientCredentials", Value::Object(flow)));
                (&OAUTH2, [None, None])
            }
            Self::MutualTls => (&MUTUAL_TLS, [None, None]),
        };
        for (name, text) in kind.members.iter().zip(texts) {
            if let Some(text) = text {
                put(members, name, text.into());
            }
        }
        kind
    }
}

/// Puts a member into an object, in place of one that is there.
pub(super) fn put(members: &mut Map<String, Value>, name: &str, value: Value) {
    members.insert(name.into(), value);
}

/// An object with one member.
pub(super) fn within(name: &str, value: Value) -> Value {
    let mut members = Map::new();
    put(&mut members, name, value);
    Value::Object(members)
}

/// Takes the schemes of a card away. Of two spellings clients read the one that comes later, and it is not known which that
/// was.
pub(super) fn take(card: &mut Map<String, Value>) -> Map<String, Value> {
    let other = card.remove(&snake_case(MEMBER));
    let own = card.remove(MEMBER).filter(|schemes| !schemes.is_null());
    match own.or(other) {
        Some(Value::Object(schemes)) => schemes,
        _ => Map::new(),
    }
}

/// Puts a definition among others, under its name or the first free one behind it, and returns the name. The same
/// definition is not put there twice.
pub(super) fn place(schemes: &mut Map<String, Value>, wish: &str, definition: Value) -> String {
    let mut name = wish.to_owned();
    let mut number: u32 = 1;
    while let Some(other) = schemes.get(&name) {
        if *other == definition {
            return name;
        }
        number = number.saturating_add(1);
        name.truncate(wish.len());
        name.push('_');
        name.push_str(&number.to_string());
    }
    schemes.insert(name.clone(), definition);
    name
}

/// What stands in a list that must not be empty. Nothing for OAuth, whose servers would refuse it, and for what is not
/// known.
pub(super) fn word(name: &str, definition: Option<&Value>) -> Option<&'static str> {
    let definition = definition?;
    let flat = definition.get("type").and_then(Value::as_str);
    let is_its_own = |kind: &&&Kind| flat == Some(kind.flat) || definition.get(kind.wrapped).is_some();
    match KINDS.iter().find(is_its_own)?.word {
        "key" if name.starts_with("totp") => Some("otp"),
        "" => None,
        word => Some(word),
    }
}

/// How a kind of scheme is called.
struct Kind {
    flat: &'static str,
    /// What it says, where that is a text.
    members: [&'static str; 2],
    wrapped: &'static str,
    word: &'static str,
}

static API_KEY: Kind = Kind {
    flat: "apiKey",
    members: ["location", "name"],
    wrapped: "apiKeySecurityScheme",
    word: "key",
};
static HTTP: Kind = Kind {
    flat: "http",
    members: ["scheme", "bearerFormat"],
    wrapped: "httpAuthSecurityScheme",
    word: "token",
};
static OAUTH2: Kind = Kind {
    flat: "oauth2",
    members: ["", ""],
    wrapped: "oauth2SecurityScheme",
    word: "",
};
static OPEN_ID_CONNECT: Kind = Kind {
    flat: "openIdConnect",
    members: ["openIdConnectUrl", ""],
    wrapped: "openIdConnectSecurityScheme",
    word: "openid",
};
static MUTUAL_TLS: Kind = Kind {
    flat: "mutualTLS",
    members: ["", ""],
    wrapped: "mtlsSecurityScheme",
    word: "certificate",
};
static KINDS: [&Kind; 5] = [&API_KEY, &HTTP, &OAUTH2, &OPEN_ID_CONNECT, &MUTUAL_TLS];
