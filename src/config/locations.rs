//! Where credentials stand: `from_headers`, `from_cookies` and `insecure_from_params` of a provider, and
//! `inbound.api_key`.

use crate::config::document::Document;
use crate::config::forward::always_owned;
use crate::config::header::{HeaderOwners, Use, header};
use crate::config::problem::{HeaderProblem, LocationProblem};
use crate::config::reader::{Node, Object, distinct};
use crate::config::warning::Caution;
use crate::cookie;
use crate::excerpt::Excerpt;
use crate::policy::location::{AUTHORIZATION, BEARER, Location, TokenForm, TokenLocation};
use crate::policy::owned::is_same_header;
use crate::query::ParameterName;

/// Which member has which place. A place has one meaning; several providers may name one for their tokens.
#[derive(Debug, Default)]
pub(super) struct Locations {
    /// Headers, those with another meaning among them.
    pub(super) headers: HeaderOwners,
    /// Every place, and the path of the member that named it first.
    taken: Vec<(Location, String)>,
    tokens: Vec<Entry>,
}

/// A place of tokens, as one provider has it.
#[derive(Debug)]
struct Entry {
    location: Location,
    scheme: Option<String>,
    tokens: Tokens,
}

/// Which tokens stand in a place.
#[derive(Debug, Clone, Copy)]
enum Tokens {
    /// Those of the provider of this index.
    Of(usize),
    /// Static ones.
    Static,
    /// Those of which a server is asked.
    Opaque,
}

impl Entry {
    fn bearer(tokens: Tokens) -> Self {
        Self {
            location: Location::Header(AUTHORIZATION.to_owned()),
            scheme: Some(BEARER.to_owned()),
            tokens,
        }
    }
}

impl Locations {
    /// Adds the place of static bearer tokens.
    pub(super) fn add_static_tokens(&mut self) {
        self.tokens.push(Entry::bearer(Tokens::Static));
    }

    /// Adds the place of tokens of which a server is asked.
    pub(super) fn add_opaque_tokens(&mut self) {
        self.tokens.push(Entry::bearer(Tokens::Opaque));
    }

    /// All places of tokens, each with its forms.
    pub(super) fn into_tokens(self) -> Vec<TokenLocation> {
        let mut tokens: Vec<TokenLocation> = Vec::new();
        for entry in self.tokens {
            if !tokens.iter().any(|token| token.location == entry.location) {
                tokens.push(TokenLocation {
                    location: entry.location.clone(),
                    forms: Vec::new(),
                });
            }
            for token in tokens.iter_mut().filter(|token| token.location == entry.location) {
                add_form(&mut token.forms, &entry);
            }
        }
        tokens
    }

    /// Takes a place for one member alone, or, for tokens, for the first provider that names it.
    fn claim(&mut self, node: &Node<'_>, path: String, location: Location) -> Option<Location> {
        if let Some((_, by)) = self.taken.iter().find(|(taken, _)| *taken == location)
            && location.header().is_none()
        {
            let by = by.clone();
            return node.refuse(LocationProblem::Taken { location, by });
        }
        if let Some(name) = location.header() {
            let claimed = match always_owned().any(|own| is_same_header(&own, name.as_bytes())) {
                true => Err(HeaderProblem::Owned(name.to_owned())),
                false => self.headers.claim(name, path.clone()),
            };
            if let Err(problem) = claimed {
                return node.refuse(problem);
            }
        }
        if self.taken.len() == MAX_LOCATIONS {
            return node.refuse(LocationProblem::TooMany(MAX_LOCATIONS));
        }
        self.taken.push((location.clone(), path));
        Some(location)
    }

    /// Takes a place for the tokens of one more provider.
    fn share(&mut self, node: &Node<'_>, path: String, entry: Entry) -> Option<()> {
        if !self.tokens.iter().any(|token| token.location == entry.location) {
            self.claim(node, path, entry.location.clone())?;
        }
        self.tokens.push(entry);
        Some(())
    }
}

/// Reads where the tokens of a provider stand.
pub(super) fn token_locations(provider: &Object<'_>, index: usize, locations: &mut Locations) -> Option<()> {
    let is_written = provider.has("from_headers");
    let headers = match provider.optional("from_headers") {
        Some(node) => from_headers(&node, index, locations),
        None => {
            let entry = Entry::bearer(Tokens::Of(index));
            locations.share(provider.node(), provider.path_of("from_headers"), entry)
        }
    };
    let mut others = |member: &'static str, read: fn(&Node<'_>) -> Option<Location>| {
        provider.list(
            member,
            distinct(|node| {
                let entry = Entry {
                    location: read(node)?,
                    scheme: None,
                    tokens: Tokens::Of(index),
                };
                locations.share(node, node.path(), entry)
            }),
        )
    };
    let cookies = others("from_cookies", cookie);
    let parameters = others("insecure_from_params", parameter);
    if let Some(node) = provider.optional("insecure_from_params")
        && provider.has_entries("insecure_from_params")
    {
        node.warn(Caution::CredentialInUrl);
    }
    headers?;
    match is_written
        && !["from_headers", "from_cookies", "insecure_from_params"]
            .iter()
            .any(|member| provider.has_entries(member))
    {
        true => provider.refuse_member("from_headers", LocationProblem::Nowhere),
        false => cookies.and(parameters).map(|_| ()),
    }
}

/// Reads `[{name, value_prefix}]`.
fn from_headers(node: &Node<'_>, index: usize, locations: &mut Locations) -> Option<()> {
    let mut seen: Vec<(String, Option<String>)> = Vec::new();
    let read = node.list(|node| {
        let place = node.object(&["name", "value_prefix"])?;
        let name = place.required("name");
        let scheme = place.or("value_prefix", None, |node| scheme(&node));
        let name_node = name?;
        let name = header(&name_node, Use::PutOn)?;
        let scheme = scheme?;
        let written = (name.clone(), scheme.as_deref().map(str::to_ascii_lowercase));
        if let Some(first) = seen.iter().position(|other| *other == written) {
            return node.refuse(LocationProblem::HeaderTwice(first));
        }
        seen.push(written);
        let entry = Entry {
            location: Location::Header(name),
            scheme,
            tokens: Tokens::Of(index),
        };
        locations.share(&name_node, name_node.path(), entry)
    });
    read.map(|_| ())
}

/// Reads `value_prefix`: nothing, or a scheme's name and a space.
pub(super) fn scheme(node: &Node<'_>) -> Option<Option<String>> {
    if matches!(node.document(), Document::Text(text) if text.expose().is_empty()) {
        return Some(None);
    }
    match node.text()?.strip_suffix(' ') {
        // RFC 9110 §11.1: a scheme is a token, which is what names cookies too.
        Some(scheme) if cookie::is_name(scheme) => Some(Some(scheme.to_owned())),
        _ => node.refuse(LocationProblem::Prefix),
    }
}

/// Reads `api_key`: where API keys stand.
pub(super) fn api_key_locations(inbound: &Object<'_>, locations: &mut Locations) -> Option<Vec<Location>> {
    let api_key = inbound.section("api_key", &["from"])?;
    let Some(from) = api_key.optional("from") else {
        let default = Location::Header(DEFAULT_API_KEY_HEADER.to_owned());
        return Some(vec![locations.claim(
            api_key.node(),
            api_key.path_of("from"),
            default,
        )?]);
    };
    from.non_empty_list(|node| {
        let place = node.object(API_KEY_PLACES)?;
        let node = place.one_of(API_KEY_PLACES)?;
        let location = if place.has("header") {
            Location::Header(header(&node, Use::Own)?)
        } else if place.has("cookie") {
            cookie(&node)?
        } else {
            node.warn(Caution::CredentialInUrl);
            parameter(&node)?
        };
        locations.claim(&node, node.path(), location)
    })
}

fn cookie(node: &Node<'_>) -> Option<Location> {
    match node.text()? {
        name if cookie::is_name(name) => Some(Location::Cookie(name.to_owned())),
        other => node.refuse(LocationProblem::Cookie(Excerpt::new(other))),
    }
}

fn parameter(node: &Node<'_>) -> Option<Location> {
    match ParameterName::parse(node.text()?) {
        Ok(name) => Some(Location::Parameter(name.as_str().to_owned())),
        Err(error) => node.refuse(LocationProblem::Parameter(error)),
    }
}

fn add_form(forms: &mut Vec<TokenForm>, entry: &Entry) {
    let is_same = |form: &TokenForm| match (&form.scheme, &entry.scheme) {
        (Some(own), Some(other)) => own.eq_ignore_ascii_case(other),
        (own, other) => own == other,
    };
    if !forms.iter().any(is_same) {
        forms.push(TokenForm {
            scheme: entry.scheme.clone(),
            providers: Vec::new(),
            is_for_static_tokens: false,
            is_for_opaque_tokens: false,
        });
    }
    for form in forms.iter_mut().filter(|form| is_same(form)) {
        match entry.tokens {
            Tokens::Of(provider) => form.providers.push(provider),
            Tokens::Static => form.is_for_static_tokens = true,
            Tokens::Opaque => form.is_for_opaque_tokens = true,
        }
    }
}

const API_KEY_PLACES: &[&str] = &["header", "cookie", "insecure_param"];
const DEFAULT_API_KEY_HEADER: &str = "x-api-key";
/// Ours: each request is looked through for every one.
const MAX_LOCATIONS: usize = 32;
