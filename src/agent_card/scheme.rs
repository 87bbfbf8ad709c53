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
            set(&mut members, "description", description);
        }
        let mut definition = Map::new();
        if shape != Shape::V1 {
            set(&mut definition, "type", kind.flat);
            for (name, value) in &members {
                // The 0.3 client refuses a card for one `location` in place of `in`.
                let name = if name == "location" { "in" } else { name };
                definition.insert(name.into(), value.clone());
            }
        }
        if shape != Shape::V03 {
            definition.insert(kind.wrapped.into(), Value::Object(members));
        }
        Value::Object(definition)
    }
}

impl SchemeKind {
    /// What a scheme of it says, as 1.0 calls it.
    fn write(&self, members: &mut Map<String, Value>) -> &'static Kind {
        match self {
            Self::Http {
                scheme,
                bearer_format,
            } => {
                set(members, "scheme", scheme);
                if let Some(format) = bearer_format {
                    set(members, "bearerFormat", format);
                }
                &HTTP
            }
            Self::ApiKey { place, name } => {
                let place = match place {
                    Place::Header => "header",
                    Place::Cookie => "cookie",
                    Place::Query => "query",
                };
                set(members, "location", place);
                set(members, "name", name);
                &API_KEY
            }
            Self::OpenIdConnect { url } => {
                set(members, "openIdConnectUrl", url);
                &OPEN_ID_CONNECT
            }
            Self::OAuth2 { token_url, scopes } => {
                let mut described = Map::new();
                for scope in scopes {
                    set(&mut described, scope, "");
                }
                let mut flow = Map::new();
                set(&mut flow, "tokenUrl", token_url);
                flow.insert("scopes".into(), Value::Object(described));
                members.insert("flows".into(), within("clientCredentials", Value::Object(flow)));
                &OAUTH2
            }
            Self::MutualTls => &MUTUAL_TLS,
        }
    }
}

/// An object with one member.
pub(super) fn within(name: &str, value: Value) -> Value {
    let mut members = Map::new();
    members.insert(name.into(), value);
    Value::Object(members)
}

fn set(members: &mut Map<String, Value>, name: &str, text: &str) {
    members.insert(name.into(), text.into());
}

/// Takes the schemes of a card away, of whichever spelling, and returns all of them, or those that are named. It is not
/// known which of two spellings came later, which is what clients go by.
pub(super) fn take(card: &mut Map<String, Value>, named: Option<&Map<String, Value>>) -> Map<String, Value> {
    let mut taken = Map::new();
    for member in [&snake_case(MEMBER), MEMBER] {
        if let Some(Value::Object(schemes)) = card.remove(member) {
            for (name, definition) in &schemes {
                if named.is_none_or(|named| named.contains_key(name)) {
                    taken.insert(name.clone(), definition.clone());
                }
            }
        }
    }
    taken
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
pub(super) fn word(name: &str, definition: &Value) -> Option<&'static str> {
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
    wrapped: &'static str,
    word: &'static str,
}

static API_KEY: Kind = Kind {
    flat: "apiKey",
    wrapped: "apiKeySecurityScheme",
    word: "key",
};
static HTTP: Kind = Kind {
    flat: "http",
    wrapped: "httpAuthSecurityScheme",
    word: "token",
};
static OAUTH2: Kind = Kind {
    flat: "oauth2",
    wrapped: "oauth2SecurityScheme",
    word: "",
};
static OPEN_ID_CONNECT: Kind = Kind {
    flat: "openIdConnect",
    wrapped: "openIdConnectSecurityScheme",
    word: "openid",
};
static MUTUAL_TLS: Kind = Kind {
    flat: "mutualTLS",
    wrapped: "mtlsSecurityScheme",
    word: "certificate",
};
static KINDS: [&Kind; 5] = [&API_KEY, &HTTP, &OAUTH2, &OPEN_ID_CONNECT, &MUTUAL_TLS];
