//! Definitions of schemes, in both shapes (A2A 0.3 §5.5, A2A 1.0 §4.5).

use serde_json::{Map, Value};

use super::{Place, Scheme, SchemeKind, Shape, snake_case};

/// The member of a card that holds them, in both shapes.
pub(super) const MEMBER: &str = "securitySchemes";

impl Scheme {
    /// As it stands in a card. In a hybrid it has nested and flat members: clients of 1.0 let the flat ones win.
    pub(super) fn definition(&self, shape: Shape) -> Value {
        let (mut members, kind) = self.kind.members();
        if let Some(description) = &self.description {
            set(&mut members, "description", description);
        }
        let mut definition = Map::new();
        if shape != Shape::V03 {
            definition.insert(kind.wrapped.into(), Value::Object(members.clone()));
        }
        if shape != Shape::V1 {
            // The 0.3 client refuses a card for one `location` in place of `in`.
            if let Some(place) = members.remove("location") {
                members.insert("in".into(), place);
            }
            definition.append(&mut members);
            set(&mut definition, "type", kind.flat);
        }
        Value::Object(definition)
    }
}

impl SchemeKind {
    fn members(&self) -> (Map<String, Value>, Kind) {
        let mut members = Map::new();
        let kind = match self {
            Self::Http {
                scheme,
                bearer_format,
            } => {
                set(&mut members, "scheme", scheme);
                if let Some(format) = bearer_format {
                    set(&mut members, "bearerFormat", format);
                }
                HTTP
            }
            Self::ApiKey { place, name } => {
                let place = match place {
                    Place::Header => "header",
                    Place::Cookie => "cookie",
                    Place::Query => "query",
                };
                set(&mut members, "location", place);
                set(&mut members, "name", name);
                API_KEY
            }
            Self::OpenIdConnect { url } => {
                set(&mut members, "openIdConnectUrl", url);
                OPEN_ID_CONNECT
            }
            Self::OAuth2 { token_url, scopes } => {
                let mut flow = Map::new();
                set(&mut flow, "tokenUrl", token_url);
                let mut described = Map::new();
                scopes.iter().for_each(|scope| set(&mut described, scope, ""));
                flow.insert("scopes".into(), Value::Object(described));
                let mut flows = Map::new();
                flows.insert("clientCredentials".into(), Value::Object(flow));
                members.insert("flows".into(), Value::Object(flows));
                OAUTH2
            }
            Self::MutualTls => MUTUAL_TLS,
        };
        (members, kind)
    }
}

fn set(members: &mut Map<String, Value>, name: &str, text: &str) {
    members.insert(name.into(), text.into());
}

/// Takes the schemes of a card away, of whichever spelling. It is not known which of two came later, which is what clients
/// go by.
pub(super) fn take(card: &mut Map<String, Value>) -> Map<String, Value> {
    let mut taken = Map::new();
    for name in [&snake_case(MEMBER), MEMBER] {
        if let Some(Value::Object(mut schemes)) = card.remove(name) {
            taken.append(&mut schemes);
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
    let is_kind = |kind: &&Kind| {
        definition.get("type").and_then(Value::as_str) == Some(kind.flat)
            || definition.get(kind.wrapped).is_some()
    };
    match KINDS.iter().find(is_kind)?.word {
        "key" if name.starts_with("totp") => Some("otp"),
        "" => None,
        word => Some(word),
    }
}

/// How a kind of scheme is called.
#[derive(Clone, Copy)]
struct Kind {
    flat: &'static str,
    wrapped: &'static str,
    word: &'static str,
}

const API_KEY: Kind = Kind {
    flat: "apiKey",
    wrapped: "apiKeySecurityScheme",
    word: "key",
};
const HTTP: Kind = Kind {
    flat: "http",
    wrapped: "httpAuthSecurityScheme",
    word: "token",
};
const OAUTH2: Kind = Kind {
    flat: "oauth2",
    wrapped: "oauth2SecurityScheme",
    word: "",
};
const OPEN_ID_CONNECT: Kind = Kind {
    flat: "openIdConnect",
    wrapped: "openIdConnectSecurityScheme",
    word: "openid",
};
const MUTUAL_TLS: Kind = Kind {
    flat: "mutualTLS",
    wrapped: "mtlsSecurityScheme",
    word: "certificate",
};
const KINDS: [Kind; 5] = [API_KEY, HTTP, OAUTH2, OPEN_ID_CONNECT, MUTUAL_TLS];
