//! What members a card has, and what they hold: one table of both versions.
//!
//! From `a2a.proto` of A2A 1.0, with its `REQUIRED` and `optional`, and from `a2a.json` of A2A 0.3.

/// A member of an object.
pub(super) struct Member {
    /// Its name in JSON.
    pub(super) name: &'static str,
    /// What it holds.
    pub(super) kind: Kind,
    /// [`V1`], [`V03`], [`KEPT`].
    uses: u8,
}

impl Member {
    /// Whether that version has it.
    pub(super) const fn is_of(&self, version: u8) -> bool {
        self.uses & version != 0
    }

    /// Whether 1.0 tells its default from its absence (A2A 1.0 §5.7): it is `REQUIRED`, `optional`, or an object.
    pub(super) const fn is_kept(&self) -> bool {
        self.uses & KEPT != 0
    }
}

/// What a member holds.
pub(super) enum Kind {
    /// A text.
    Text,
    /// A text; 0.3 has this one where there is none.
    TextOr(&'static str),
    /// True or false.
    Flag,
    /// Anything.
    Any,
    /// A list.
    List(&'static Kind),
    /// An object whose members have any names.
    Map(&'static Kind),
    /// An object.
    Object(&'static [Member]),
    /// A security scheme: wrapped in 1.0, flat in 0.3.
    Scheme,
}

/// It is a member in A2A 1.0.
pub(super) const V1: u8 = 1;
/// It is a member in A2A 0.3.
pub(super) const V03: u8 = 2;
const BOTH: u8 = V1 | V03;
const KEPT: u8 = 4;

const fn of(name: &'static str, kind: Kind, uses: u8) -> Member {
    Member { name, kind, uses }
}

const TEXTS: Kind = Kind::List(&Kind::Text);
const SCOPES: Kind = Kind::Map(&Kind::Text);

/// `AgentCard`, without its signatures.
pub(super) static CARD: [Member; 19] = [
    of("additionalInterfaces", Kind::List(&Kind::Object(&INTERFACE)), V03),
    of("capabilities", Kind::Object(&CAPABILITIES), BOTH | KEPT),
    of("defaultInputModes", TEXTS, BOTH | KEPT),
    of("defaultOutputModes", TEXTS, BOTH | KEPT),
    of("description", Kind::Text, BOTH | KEPT),
    of("documentationUrl", Kind::Text, BOTH | KEPT),
    of("iconUrl", Kind::Text, BOTH | KEPT),
    of("name", Kind::Text, BOTH | KEPT),
    of("preferredTransport", Kind::TextOr(TRANSPORT), V03),
    of("protocolVersion", Kind::TextOr(VERSION), V03),
    of("provider", Kind::Object(&PROVIDER), BOTH | KEPT),
    of("security", Kind::List(&Kind::Map(&TEXTS)), V03),
    of(
        "securityRequirements",
        Kind::List(&Kind::Object(&REQUIREMENT)),
        V1,
    ),
    of("securitySchemes", Kind::Map(&Kind::Scheme), BOTH),
    of("skills", Kind::List(&Kind::Object(&SKILL)), BOTH | KEPT),
    of(
        "supportedInterfaces",
        Kind::List(&Kind::Object(&INTERFACE)),
        V1 | KEPT,
    ),
    of("supportsAuthenticatedExtendedCard", Kind::Flag, V03),
    of("url", Kind::Text, V03),
    of("version", Kind::Text, BOTH | KEPT),
];

static INTERFACE: [Member; 5] = [
    of("protocolBinding", Kind::Text, V1 | KEPT),
    of("protocolVersion", Kind::Text, V1 | KEPT),
    of("tenant", Kind::Text, V1),
    of("transport", Kind::Text, V03),
    of("url", Kind::Text, BOTH | KEPT),
];

static CAPABILITIES: [Member; 5] = [
    of("extendedAgentCard", Kind::Flag, V1 | KEPT),
    of("extensions", Kind::List(&Kind::Object(&EXTENSION)), BOTH),
    of("pushNotifications", Kind::Flag, BOTH | KEPT),
    of("stateTransitionHistory", Kind::Flag, V03),
    of("streaming", Kind::Flag, BOTH | KEPT),
];

static EXTENSION: [Member; 4] = [
    of("description", Kind::Text, BOTH),
    of("params", Kind::Any, BOTH | KEPT),
    of("required", Kind::Flag, BOTH),
    of("uri", Kind::Text, BOTH),
];

static PROVIDER: [Member; 2] = [
    of("organization", Kind::Text, BOTH | KEPT),
    of("url", Kind::Text, BOTH | KEPT),
];

static SKILL: [Member; 9] = [
    of("description", Kind::Text, BOTH | KEPT),
    of("examples", TEXTS, BOTH),
    of("id", Kind::Text, BOTH | KEPT),
    of("inputModes", TEXTS, BOTH),
    of("name", Kind::Text, BOTH | KEPT),
    of("outputModes", TEXTS, BOTH),
    of("security", Kind::List(&Kind::Map(&TEXTS)), V03),
    of(
        "securityRequirements",
        Kind::List(&Kind::Object(&REQUIREMENT)),
        V1,
    ),
    of("tags", TEXTS, BOTH | KEPT),
];

static REQUIREMENT: [Member; 1] = [of("schemes", Kind::Map(&Kind::Object(&SCOPE_LIST)), V1)];
static SCOPE_LIST: [Member; 1] = [of("list", TEXTS, V1)];

/// `SecurityScheme` of 1.0. The objects within hold what those of 0.3 hold.
pub(super) static SCHEME: [Member; 5] = [
    of("apiKeySecurityScheme", Kind::Object(&API_KEY), V1 | KEPT),
    of("httpAuthSecurityScheme", Kind::Object(&HTTP), V1 | KEPT),
    of("mtlsSecurityScheme", Kind::Object(&MUTUAL_TLS), V1 | KEPT),
    of("oauth2SecurityScheme", Kind::Object(&OAUTH2), V1 | KEPT),
    of(
        "openIdConnectSecurityScheme",
        Kind::Object(&OPENID_CONNECT),
        V1 | KEPT,
    ),
];

/// A kind of scheme in 0.3.
pub(super) struct Flat {
    /// Its `type`.
    pub(super) name: &'static str,
    /// The member of [`SCHEME`] that wraps it in 1.0.
    pub(super) wrapper: &'static str,
    /// What it holds.
    pub(super) known: &'static [Member],
}

/// The schemes of 0.3.
pub(super) static FLAT: [Flat; 5] = [
    flat("apiKey", "apiKeySecurityScheme", &API_KEY),
    flat("http", "httpAuthSecurityScheme", &HTTP),
    flat("mutualTLS", "mtlsSecurityScheme", &MUTUAL_TLS),
    flat("oauth2", "oauth2SecurityScheme", &OAUTH2),
    flat("openIdConnect", "openIdConnectSecurityScheme", &OPENID_CONNECT),
];

const fn flat(name: &'static str, wrapper: &'static str, known: &'static [Member]) -> Flat {
    Flat { name, wrapper, known }
}

static API_KEY: [Member; 4] = [
    of("description", Kind::Text, BOTH),
    of("in", Kind::Text, V03),
    of("location", Kind::Text, V1 | KEPT),
    of("name", Kind::Text, BOTH | KEPT),
];

static HTTP: [Member; 3] = [
    of("bearerFormat", Kind::Text, BOTH),
    of("description", Kind::Text, BOTH),
    of("scheme", Kind::Text, BOTH | KEPT),
];

static MUTUAL_TLS: [Member; 1] = [of("description", Kind::Text, BOTH)];

static OAUTH2: [Member; 3] = [
    of("description", Kind::Text, BOTH),
    of("flows", Kind::Object(&FLOWS), BOTH | KEPT),
    of("oauth2MetadataUrl", Kind::Text, BOTH),
];

static OPENID_CONNECT: [Member; 2] = [
    of("description", Kind::Text, BOTH),
    of("openIdConnectUrl", Kind::Text, BOTH | KEPT),
];

static FLOWS: [Member; 5] = [
    of(
        "authorizationCode",
        Kind::Object(&AUTHORIZATION_CODE),
        BOTH | KEPT,
    ),
    of(
        "clientCredentials",
        Kind::Object(&CLIENT_CREDENTIALS),
        BOTH | KEPT,
    ),
    of("deviceCode", Kind::Object(&DEVICE_CODE), V1 | KEPT),
    of("implicit", Kind::Object(&IMPLICIT), BOTH | KEPT),
    of("password", Kind::Object(&PASSWORD), BOTH | KEPT),
];

static AUTHORIZATION_CODE: [Member; 5] = [
    of("authorizationUrl", Kind::Text, BOTH | KEPT),
    of("pkceRequired", Kind::Flag, V1),
    of("refreshUrl", Kind::Text, BOTH),
    of("scopes", SCOPES, BOTH | KEPT),
    of("tokenUrl", Kind::Text, BOTH | KEPT),
];

static CLIENT_CREDENTIALS: [Member; 3] = [
    of("refreshUrl", Kind::Text, BOTH),
    of("scopes", SCOPES, BOTH | KEPT),
    of("tokenUrl", Kind::Text, BOTH | KEPT),
];

static DEVICE_CODE: [Member; 4] = [
    of("deviceAuthorizationUrl", Kind::Text, V1 | KEPT),
    of("refreshUrl", Kind::Text, V1),
    of("scopes", SCOPES, V1 | KEPT),
    of("tokenUrl", Kind::Text, V1 | KEPT),
];

static IMPLICIT: [Member; 3] = [
    of("authorizationUrl", Kind::Text, BOTH),
    of("refreshUrl", Kind::Text, BOTH),
    of("scopes", SCOPES, BOTH),
];

static PASSWORD: [Member; 3] = [
    of("refreshUrl", Kind::Text, BOTH),
    of("scopes", SCOPES, BOTH),
    of("tokenUrl", Kind::Text, BOTH),
];

/// What 0.3 takes for the transport where none is named.
pub(super) const TRANSPORT: &str = "JSONRPC";
/// What it takes for the version.
pub(super) const VERSION: &str = "0.3.0";
