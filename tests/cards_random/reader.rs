//! Cards as clients read them: by the documentation of A2A and by what the SDKs do, with nothing of the filter's own code.

use serde_json::Value;

/// A client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    /// a2a-sdk 0.3.
    V03,
    /// a2a-sdk 1.x.
    V1,
}

/// A credential that a card asks for: what its scheme is, and the scopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) scheme: Scheme,
    pub(crate) scopes: Vec<String>,
}

/// A scheme, whatever it is called in the card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http {
        scheme: String,
        format: Option<String>,
    },
    ApiKey {
        place: String,
        name: String,
    },
    OpenIdConnect {
        url: String,
    },
    OAuth2 {
        token_url: String,
        scopes: Vec<String>,
    },
    MutualTls,
    /// The card does not say what it is, or not so that it could be understood.
    Unknown(Value),
}

/// The alternatives of a card, as a client reads it that can. `None`: it refuses the card.
///
/// It panics where a card has what no server writes.
pub(crate) fn alternatives(card: &Value, client: Client) -> Option<Vec<Vec<Asked>>> {
    // The last of them wins, and which one that is nobody knows.
    assert!(card.get("security_requirements").is_none(), "{card}");
    assert!(card.get("security_schemes").is_none(), "{card}");
    let list = match client {
        Client::V03 => {
            card.get("url")?.as_str()?;
            card.get("security").map(flat)
        }
        Client::V1 => card
            .get("securityRequirements")
            .map(wrapped)
            .or_else(|| card.get("security").map(flat)),
    };
    let named = |(name, scopes): (String, Vec<String>)| Asked {
        scheme: scheme(card, &name, client),
        scopes,
    };
    let list = list.unwrap_or_default();
    Some(
        list.into_iter()
            .map(|schemes| schemes.into_iter().map(named).collect())
            .collect(),
    )
}

type Named = Vec<(String, Vec<String>)>;

fn flat(list: &Value) -> Vec<Named> {
    let scopes = |(name, scopes): (&String, &Value)| (name.clone(), texts(scopes));
    let entries = list.as_array().unwrap().iter();
    entries
        .map(|entry| entry.as_object().unwrap().iter().map(scopes).collect())
        .collect()
}

fn wrapped(list: &Value) -> Vec<Named> {
    let scopes = |(name, scopes): (&String, &Value)| {
        assert_eq!(only_member(scopes), "list", "{scopes}");
        (name.clone(), texts(&scopes["list"]))
    };
    let schemes = |entry: &Value| {
        // Anything else is read as a call without credentials.
        assert_eq!(only_member(entry), "schemes", "{entry}");
        entry["schemes"].as_object().unwrap().iter().map(scopes).collect()
    };
    list.as_array().unwrap().iter().map(schemes).collect()
}

fn only_member(value: &Value) -> &str {
    let members = value.as_object().unwrap();
    assert_eq!(members.len(), 1, "{value}");
    members.keys().next().unwrap()
}

fn texts(list: &Value) -> Vec<String> {
    let texts = list.as_array().unwrap().iter();
    texts.map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// What a card says that a scheme is. Its flat members win in both clients.
fn scheme(card: &Value, name: &str, client: Client) -> Scheme {
    let definition = &card["securitySchemes"][name];
    let is_flat = definition.get("type").is_some();
    let wrappers = [
        ("apiKeySecurityScheme", "apiKey"),
        ("httpAuthSecurityScheme", "http"),
        ("oauth2SecurityScheme", "oauth2"),
        ("openIdConnectSecurityScheme", "openIdConnect"),
        ("mtlsSecurityScheme", "mutualTLS"),
    ];
    let mut wrapped = wrappers
        .iter()
        .filter_map(|(wrapper, kind)| Some((definition.get(wrapper)?, *kind)));
    let (members, kind, place) = match (is_flat, client) {
        (true, _) => (definition, definition["type"].as_str().unwrap_or_default(), "in"),
        (false, Client::V1) => match wrapped.next() {
            Some((members, kind)) => (members, kind, "location"),
            None => return Scheme::Unknown(definition.clone()),
        },
        (false, Client::V03) => return Scheme::Unknown(definition.clone()),
    };
    let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
    let read = || {
        Some(match kind {
            "http" => Scheme::Http {
                scheme: text("scheme")?,
                format: text("bearerFormat"),
            },
            "apiKey" => Scheme::ApiKey {
                place: text(place)?,
                name: text("name")?,
            },
            "openIdConnect" => Scheme::OpenIdConnect {
                url: text("openIdConnectUrl")?,
            },
            "oauth2" => {
                let flow = members.get("flows")?.get("clientCredentials")?;
                Scheme::OAuth2 {
                    token_url: flow.get("tokenUrl")?.as_str()?.to_owned(),
                    scopes: flow.get("scopes")?.as_object()?.keys().cloned().collect(),
                }
            }
            "mutualTLS" => Scheme::MutualTls,
            _ => return None,
        })
    };
    read().unwrap_or_else(|| Scheme::Unknown(definition.clone()))
}
