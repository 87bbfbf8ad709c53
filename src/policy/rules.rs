//! The rules of one half in their order, and an index that finds those which a request can match at all.
//!
//! A policy with ten thousand rules costs a request what a policy with one does. The index only leaves rules out: it
//! gives candidates in the order of the rules, and whether one matches is asked of the rule, as without an index. So it
//! looks at nothing but hosts and the segments with which a path begins, and where these say little it gives more.
//! Methods, headers, ports and clusters are not looked at.
//!
//! ```text
//! host ─► segment ─► segment ─► end        every one of them is a place with its rules
//! ```
//!
//! A request walks from the place of its host, of each wildcard above it, and of any host, as far as its path goes on
//! there: the work is bounded by the length of path and host.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::iter;
use std::ops::Deref;
use std::slice;

use crate::authority::Authority;
use crate::path::RequestPath;

/// What an index can know of a rule.
pub trait Indexed {
    /// Whether a rule must be asked of an ambiguous path that it may not match: it refuses one.
    const JUDGES_AMBIGUOUS_PATHS: bool;

    /// What it matches at most.
    fn reach(&self) -> Reach<'_>;
}

/// What a rule matches at most.
#[derive(Debug)]
pub struct Reach<'r> {
    /// Hosts, and domains with their leading dot, which stand for all below them. Empty is any.
    pub hosts: Vec<&'r str>,
    /// Paths. Empty is any.
    pub paths: Vec<PathReach<'r>>,
}

/// Paths that begin with the same segments.
#[derive(Debug)]
pub struct PathReach<'r> {
    /// The segments: of `/a/b` they are `a` and `b`, of `/a/` they are `a` and an empty one.
    segments: Vec<&'r [u8]>,
    /// Whether there are no more.
    is_whole: bool,
}

impl<'r> PathReach<'r> {
    /// This path alone.
    pub fn whole(path: &'r [u8]) -> Self {
        Self {
            is_whole: true,
            ..Self::below(path)
        }
    }

    /// This path and all below it; an empty one stands for all paths.
    pub fn below(path: &'r [u8]) -> Self {
        Self::beginning_with(segments(path).into_iter().flatten())
    }

    /// All paths that begin with these segments.
    pub fn beginning_with(segments: impl Iterator<Item = &'r [u8]>) -> Self {
        Self {
            segments: segments.collect(),
            is_whole: false,
        }
    }
}

/// Rules in their order. They are read like a slice and never changed, for their index would not know.
#[derive(Debug)]
pub struct Rules<R> {
    rules: Vec<R>,
    /// None where there are so few that trying each is as fast.
    index: Option<Index>,
}

impl<R: Indexed> From<Vec<R>> for Rules<R> {
    fn from(rules: Vec<R>) -> Self {
        let index = (rules.len() >= MINIMUM_INDEXED).then(|| Index::of(&rules));
        Self { rules, index }
    }
}

impl<R> Deref for Rules<R> {
    type Target = [R];

    fn deref(&self) -> &[R] {
        &self.rules
    }
}

impl<R: Indexed> Rules<R> {
    /// All rules that could match, and others, in their order.
    pub fn candidates(&self, path: &RequestPath<'_>, authority: &Authority<'_>) -> Candidates<'_, R> {
        match &self.index {
            Some(index) if !(R::JUDGES_AMBIGUOUS_PATHS && path.is_ambiguous()) => Candidates::Found {
                rules: &self.rules,
                found: index.find(path.path(), authority.host()),
            },
            Some(_) | None => Candidates::All(self.rules.iter()),
        }
    }
}

/// Rules that a request could match.
#[derive(Debug)]
pub enum Candidates<'p, R> {
    /// Without an index.
    All(slice::Iter<'p, R>),
    /// By the index.
    Found {
        /// All rules.
        rules: &'p [R],
        /// Which of them.
        found: Found<'p>,
    },
}

impl<'p, R> Iterator for Candidates<'p, R> {
    type Item = &'p R;

    fn next(&mut self) -> Option<&'p R> {
        match self {
            Self::All(rules) => rules.next(),
            Self::Found { rules, found } => rules.get(found.next()?),
        }
    }
}

/// A tree of places, flat, so that a path of many segments needs no stack.
#[derive(Debug)]
struct Index {
    /// The first is that of any host.
    places: Vec<Place>,
    /// The places of hosts, and of domains with their leading dot.
    hosts: HashMap<Vec<u8>, usize>,
    /// Whether there are domains among them.
    has_domains: bool,
}

/// Where a host, or a path, has led to.
#[derive(Debug, Default)]
struct Place {
    /// The rules that reach all from here on, in their order.
    rules: Vec<usize>,
    /// Where the next segment leads.
    next: HashMap<Vec<u8>, usize>,
    /// Where it leads that there is no other segment.
    end: Option<usize>,
}

impl Index {
    fn of<R: Indexed>(rules: &[R]) -> Self {
        let mut index = Self {
            places: vec![Place::default()],
            hosts: HashMap::new(),
            has_domains: false,
        };
        for (number, rule) in rules.iter().enumerate() {
            let Reach { hosts, mut paths } = rule.reach();
            // Many hosts times many paths would be more places than the policy has bytes.
            let is_wide = hosts.len() > 1 && paths.len() > 1;
            let is_found_by_path =
                hosts.is_empty() || (is_wide && hosts.len().saturating_mul(paths.len()) > MAXIMUM_PLACES);
            let starts = match is_found_by_path {
                true => vec![ANY_HOST],
                false => hosts.into_iter().map(|host| index.grow_host(host)).collect(),
            };
            if paths.is_empty() {
                paths.push(PathReach::below(b""));
            }
            for start in starts {
                for path in &paths {
                    index.add(number, start, path);
                }
            }
        }
        index
    }

    fn add(&mut self, rule: usize, host: usize, path: &PathReach<'_>) {
        let mut place = host;
        for segment in &path.segments {
            place = self.grow(place, segment);
        }
        if path.is_whole {
            place = self.grow_end(place);
        }
        if let Some(Place { rules, .. }) = self.places.get_mut(place)
            && rules.last() != Some(&rule)
        {
            rules.push(rule);
        }
    }

    /// Where a host leads, which from now on is a place.
    fn grow_host(&mut self, host: &str) -> usize {
        self.has_domains |= host.starts_with('.');
        if let Some(known) = self.hosts.get(host.as_bytes()) {
            return *known;
        }
        let new = self.push();
        self.hosts.insert(host.as_bytes().to_vec(), new);
        new
    }

    /// The same of a segment.
    fn grow(&mut self, from: usize, segment: &[u8]) -> usize {
        let new = self.places.len();
        let known = self.places.get_mut(from).and_then(|place| {
            let known = place.next.get(segment).copied();
            if known.is_none() {
                place.next.insert(segment.to_vec(), new);
            }
            known
        });
        known.unwrap_or_else(|| self.push())
    }

    /// The same of the end.
    fn grow_end(&mut self, from: usize) -> usize {
        let new = self.places.len();
        let known = self.places.get_mut(from).and_then(|place| {
            let known = place.end;
            place.end = Some(known.unwrap_or(new));
            known
        });
        known.unwrap_or_else(|| self.push())
    }

    fn push(&mut self) -> usize {
        self.places.push(Place::default());
        self.places.len() - 1
    }

    fn find(&self, path: &[u8], host: &str) -> Found<'_> {
        let mut found = Found {
            places: &self.places,
            heads: BinaryHeap::new(),
            last: None,
        };
        self.walk(ANY_HOST, path, &mut found);
        let dots = host.match_indices('.').filter(|_| self.has_domains);
        let domains = dots.filter_map(|(dot, _)| host.get(dot..));
        for name in iter::once(host).chain(domains) {
            if let Some(place) = self.hosts.get(name.as_bytes()) {
                self.walk(*place, path, &mut found);
            }
        }
        found
    }

    /// Notes each place that a path comes by.
    fn walk(&self, from: usize, path: &[u8], found: &mut Found<'_>) {
        let mut number = from;
        // Only rules for any path reach one that does not start with a slash.
        let mut segments = segments(path);
        while let Some(place) = self.places.get(number) {
            found.note(number, 0);
            let Some(segments) = &mut segments else {
                return;
            };
            let on = match segments.next() {
                Some(segment) => place.next.get(segment).copied(),
                None => {
                    if let Some(end) = place.end {
                        found.note(end, 0);
                    }
                    None
                }
            };
            let Some(on) = on else {
                return;
            };
            number = on;
        }
    }
}

/// The rules of some places: the lists of all of them as one, in order, each rule once.
#[derive(Debug)]
pub struct Found<'p> {
    places: &'p [Place],
    /// Of each place the rule that is next, its number, and where in its list that stands.
    heads: BinaryHeap<Reverse<(usize, usize, usize)>>,
    last: Option<usize>,
}

impl Found<'_> {
    fn note(&mut self, place: usize, position: usize) {
        let rules = self.places.get(place).map(|place| &place.rules);
        if let Some(rule) = rules.and_then(|rules| rules.get(position)) {
            self.heads.push(Reverse((*rule, place, position)));
        }
    }
}

impl Iterator for Found<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        while let Some(Reverse((rule, place, position))) = self.heads.pop() {
            self.note(place, position + 1);
            if self.last != Some(rule) {
                self.last = Some(rule);
                return Some(rule);
            }
        }
        None
    }
}

/// The segments of a path, if it starts with a slash.
fn segments(path: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let path = path.strip_prefix(b"/")?;
    Some(path.split(|byte| *byte == b'/'))
}

/// The place of any host.
const ANY_HOST: usize = 0;
/// With fewer rules than this, each is tried: it takes some ten nanoseconds, and the index as long as a dozen of them.
const MINIMUM_INDEXED: usize = 16;
/// In how many places a rule with many hosts and many paths may stand; with more of them it is found by its paths.
const MAXIMUM_PLACES: usize = 64;
