//! What a card asks for gets in; what it does not offer does not.

use std::cell::RefCell;
use std::collections::BTreeMap;

use fastrand::Rng;
use peergate_filter::agent_card::Card;
use peergate_filter::policy::card::Said;
use peergate_filter::signer::NoHostSigner;
use serde_json::{Value, json};

use crate::for_each_seed;
use crate::reader::{self, Asked, Client};
use crate::world::{KINDS, Piece, Target, World, host};

const CARDS: [&str; 3] = [
    include_str!("../cards/v03.json"),
    include_str!("../cards/v1.json"),
    include_str!("../cards/hybrid.json"),
];

#[test]
fn what_a_card_asks_for_is_what_the_rules_want() {
    let seen = Seen::default();
    for_each_seed(0x0ffe_4000, 150, |random| {
        let world = World::new(random);
        for card in CARDS {
            let (card, targets) = card_of(card, &world, random);
            let mut read = Card::read(card.to_string().as_bytes()).unwrap();
            let said = world.inbound().tell(&mut read, &NoHostSigner);
            let written: Value = serde_json::from_slice(&read.to_bytes()).unwrap();
            seen.note(&format!("{said:?}"));
            let everywhere: Vec<Place<'_>> = targets
                .iter()
                .flat_map(|target| [false, true].map(|is_gold| Place { target, is_gold }))
                .collect();
            let is_open = |place: &Place<'_>| somebody_gets_in(&world, place);
            let (is_exact, places) = match said {
                Said::Exactly => (true, everywhere),
                Said::Strictest => (false, everywhere.into_iter().filter(is_open).collect()),
                Said::Unreachable => {
                    assert_eq!(written, card);
                    assert!(!everywhere.iter().any(is_open), "{card}\n{}", world.document);
                    continue;
                }
                Said::Signed | Said::Unsigned => panic!("{said:?}"),
            };
            let has_common = one_gets_in(&world, &places);
            if !is_exact {
                seen.note(if has_common {
                    "in common"
                } else {
                    "nothing in common"
                });
            }
            for client in [Client::V03, Client::V1] {
                if let Some(alternatives) = reader::alternatives(&written, client) {
                    let case = Case {
                        world: &world,
                        card: &written,
                        places: &places,
                        is_exact,
                        has_common,
                        alternatives,
                        seen: &seen,
                    };
                    case.check();
                }
            }
        }
    });
    seen.check();
}

/// A card that says something, as a client reads it.
struct Case<'a> {
    world: &'a World,
    card: &'a Value,
    /// Where somebody gets in.
    places: &'a [Place<'a>],
    /// Whether it holds for all of these alike; else the strictest counts.
    is_exact: bool,
    /// Whether something is good for all of them.
    has_common: bool,
    alternatives: Vec<Vec<Asked>>,
    seen: &'a Seen,
}

impl Case<'_> {
    fn check(&self) {
        for alternative in &self.alternatives {
            self.gets_in(alternative);
            for left_out in 0..alternative.len() {
                let mut less = alternative.clone();
                let asked = less.remove(left_out);
                self.does_not_get_in("less a credential", &less);
                for scope in 0..asked.scopes.len() {
                    let mut fewer = asked.clone();
                    fewer.scopes.remove(scope);
                    let mut less = alternative.clone();
                    less[left_out] = fewer;
                    self.does_not_get_in("less a scope", &less);
                }
            }
        }
        match self.alternatives.is_empty() {
            true => self.gets_in(&[]),
            false => self.does_not_get_in("nothing", &[]),
        }
        self.what_is_not_offered_does_not_get_in();
    }

    /// Everywhere; where nothing is good for all places, at the preferred interface.
    fn gets_in(&self, alternative: &[Asked]) {
        for asked in alternative {
            self.seen.note(&format!("{:?}", self.world.kinds(&asked.scheme)));
        }
        let sent = self.sent(alternative);
        let gets_in = |place: &Place<'_>| {
            let mut sent = sent.iter();
            sent.any(|pieces| self.world.lets_in(place.target, pieces, place.is_gold).is_ok())
        };
        let preferred = self.places[0].target;
        let holds = match self.is_exact || self.has_common {
            true => self.places.iter().all(gets_in),
            false => {
                let mut places = self.places.iter();
                places.any(|place| place.target == preferred && gets_in(place))
            }
        };
        assert!(
            holds,
            "{alternative:?} does not get in\n{}\n{}\n{:?}",
            self.card, self.world.document, self.places
        );
        self.seen.note("let in");
    }

    fn does_not_get_in(&self, why: &'static str, asked: &[Asked]) {
        if self.is_offered(asked) {
            return;
        }
        for pieces in self.sent(asked) {
            self.is_refused(why, &pieces);
        }
    }

    fn is_refused(&self, why: &'static str, pieces: &[Piece]) {
        // One of the rules may let strangers through, and does not look at a certificate, which is always there.
        if !self.is_exact && pieces.contains(&Piece::Certificate) {
            return;
        }
        let is_refused = |place: &Place<'_>| match self.world.lets_in(place.target, pieces, place.is_gold) {
            Ok(()) => false,
            Err(reason) => {
                self.seen.note(reason);
                true
            }
        };
        let holds = match self.is_exact {
            true => self.places.iter().all(is_refused),
            false => self.places.iter().any(is_refused),
        };
        assert!(
            holds,
            "{why}: {pieces:?} gets in\n{}\n{}\n{:?}",
            self.card, self.world.document, self.places
        );
        self.seen.note(why);
    }

    /// A credential of a kind that the card does not name, with all that could be wanted of it.
    fn what_is_not_offered_does_not_get_in(&self) {
        if self.is_offered(&[]) {
            return;
        }
        let scopes = ["a", "b", "c"].map(str::to_owned);
        for kind in KINDS {
            let mut asked = self.alternatives.iter().flatten();
            let is_named = asked.any(|asked| {
                let kinds = self.world.kinds(&asked.scheme);
                kinds.is_some_and(|kinds| kinds.contains(&kind))
            });
            if let Some(piece) = self.world.credential(kind, &scopes).filter(|_| !is_named) {
                self.is_refused("another kind", &[piece, self.world.code()]);
            }
        }
    }

    /// Whether a card asks for no more than this. What its agent wants itself is not the filter's.
    fn is_offered(&self, asked: &[Asked]) -> bool {
        let is_there = |wanted: &Asked| {
            self.world.kinds(&wanted.scheme).is_none()
                || asked.iter().any(|asked| {
                    asked.scheme == wanted.scheme
                        && wanted.scopes.iter().all(|scope| asked.scopes.contains(scope))
                })
        };
        let mut alternatives = self.alternatives.iter();
        self.alternatives.is_empty() || alternatives.any(|alternative| alternative.iter().all(is_there))
    }

    /// The messages that a client may make of credentials: a card does not tell whose bearer token is meant.
    fn sent(&self, asked: &[Asked]) -> Vec<Vec<Piece>> {
        let mut sent = vec![Vec::new()];
        for asked in asked {
            let pieces = self.world.pieces(asked);
            if !pieces.is_empty() {
                let with = |sent: &Vec<Piece>| -> Vec<Vec<Piece>> {
                    let with = |piece: &Piece| [sent.as_slice(), std::slice::from_ref(piece)].concat();
                    pieces.iter().map(with).collect()
                };
                sent = sent.iter().flat_map(with).collect();
            }
        }
        sent
    }
}

/// Where a message is sent, and whether it has what a rule may look for besides.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    target: &'a Target,
    is_gold: bool,
}

/// Whether anybody gets in there.
fn somebody_gets_in(world: &World, place: &Place<'_>) -> bool {
    messages(world).any(|pieces| world.lets_in(place.target, &pieces, place.is_gold).is_ok())
}

/// Whether one message gets in everywhere. Not by a certificate, which is always there: a rule that lets strangers through
/// does not look at it.
fn one_gets_in(world: &World, places: &[Place<'_>]) -> bool {
    messages(world).any(|pieces| {
        let mut places = places.iter();
        !pieces.contains(&Piece::Certificate)
            && places.all(|place| world.lets_in(place.target, &pieces, place.is_gold).is_ok())
    })
}

/// Each credential of the caller, with all that could be wanted of it; and none.
fn messages(world: &World) -> impl Iterator<Item = Vec<Piece>> {
    let scopes = ["a", "b", "c"].map(str::to_owned);
    let credentials = KINDS
        .iter()
        .filter_map(move |kind| world.credential(*kind, &scopes));
    credentials
        .map(|piece| vec![piece, world.code()])
        .chain([Vec::new()])
}

/// A card of the shape of this one, with interfaces by chance; and where messages to these are sent.
fn card_of(card: &str, world: &World, random: &mut Rng) -> (Value, Vec<Target>) {
    let mut card: Value = serde_json::from_str(card).unwrap();
    let is_legacy = card.get("url").is_some();
    let is_v1 = card.get("supportedInterfaces").is_some();
    let members = card.as_object_mut().unwrap();
    if random.bool() {
        for name in ["securitySchemes", "security", "securityRequirements", "skills"] {
            members.remove(name);
        }
    }
    let legacy: Vec<Interface> = (0..usize::from(is_legacy) * random.usize(1..3))
        .map(|_| Interface::new("0.3", random))
        .collect();
    let current: Vec<Interface> = (0..usize::from(is_v1) * random.usize(1..3))
        .map(|_| Interface::new("1.0", random))
        .collect();
    let all = || current.iter().chain(&legacy);
    if is_v1 {
        members.insert(
            "supportedInterfaces".to_owned(),
            all().map(Interface::v1).collect(),
        );
    }
    if let Some(first) = legacy.first() {
        let others = legacy
            .iter()
            .map(|one| json!({"url": one.url(), "transport": one.binding}));
        members.insert("url".to_owned(), json!(first.url()));
        members.insert("preferredTransport".to_owned(), json!(first.binding));
        members.insert("additionalInterfaces".to_owned(), others.collect());
    }
    let targets = all().map(|interface| interface.target(world)).collect();
    (card, targets)
}

/// An interface of an agent.
struct Interface {
    host: &'static str,
    base: &'static str,
    binding: &'static str,
    version: &'static str,
    tenant: &'static str,
}

impl Interface {
    fn new(version: &'static str, random: &mut Rng) -> Self {
        Self {
            host: host(random),
            base: random.choice(["", "/", "/a2a", "/rest", "/rest/"]).unwrap(),
            binding: random.choice(["JSONRPC", "HTTP+JSON", "GRPC"]).unwrap(),
            version,
            tenant: random.choice(["", "", "acme"]).unwrap(),
        }
    }

    fn url(&self) -> String {
        match self.binding {
            "GRPC" => format!("{}:443", self.host),
            _ => format!("https://{}{}", self.host, self.base),
        }
    }

    fn v1(&self) -> Value {
        json!({
            "url": self.url(), "protocolBinding": self.binding, "protocolVersion": self.version, "tenant": self.tenant,
        })
    }

    /// Where the SDKs send a message.
    fn target(&self, world: &World) -> Target {
        let base = self.base.trim_end_matches('/');
        let path = match (self.binding, self.version, self.tenant) {
            ("GRPC", "1.0", _) => "/lf.a2a.v1.A2AService/SendMessage".to_owned(),
            ("GRPC", ..) => "/a2a.v1.A2AService/SendMessage".to_owned(),
            ("JSONRPC", ..) if self.base.is_empty() => "/".to_owned(),
            ("JSONRPC", ..) => self.base.to_owned(),
            (_, "1.0", "") => format!("{base}/message:send"),
            (_, "1.0", tenant) => format!("{base}/{tenant}/message:send"),
            _ => format!("{base}/v1/message:send"),
        };
        Target {
            authority: world.host(self.host),
            path,
        }
    }
}

/// What the cases have come by.
#[derive(Default)]
struct Seen(RefCell<BTreeMap<String, usize>>);

impl Seen {
    fn note(&self, what: &str) {
        *self.0.borrow_mut().entry(what.to_owned()).or_default() += 1;
    }

    fn check(&self) {
        let seen = self.0.borrow();
        for (what, least) in [
            ("Exactly", 100),
            ("Strictest", 50),
            ("Unreachable", 20),
            ("let in", 1_000),
            ("in common", 30),
            ("nothing in common", 10),
            ("nothing", 200),
            ("less a credential", 1_000),
            ("less a scope", 400),
            ("another kind", 500),
            ("credentials_missing", 1_000),
            ("credential_not_accepted", 1_000),
            ("totp_missing", 1_000),
            ("scope_insufficient", 1_000),
            // A code; what the agent wants itself; and each kind of credential.
            ("Some([])", 500),
            ("None", 300),
            ("Some([ApiKey])", 100),
            ("Some([Jwt(\"cookie\")])", 100),
            ("Some([Jwt(\"scheme\")])", 100),
            ("Some([Jwt(\"found\")])", 100),
            ("Some([Jwt(\"written\"), Jwt(\"found\")])", 100),
            ("Some([Static, Opaque])", 100),
            ("Some([Mtls])", 100),
        ] {
            assert!(
                seen.get(what).is_some_and(|count| *count >= least),
                "{what}: {seen:#?}"
            );
        }
    }
}
