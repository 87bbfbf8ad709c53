#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;

fn cache(entries: usize, bytes: usize) -> TokenCache<u32> {
    TokenCache::new(Limits { entries, bytes }, *b"0123456789abcdef")
}

#[test]
fn what_was_kept_is_found() {
    let cache = cache(10, 10_000);
    assert_eq!(cache.get(b"a"), None);
    cache.insert(b"a", 1, 10);
    cache.insert(b"b", 2, 10);
    assert_eq!(
        (cache.get(b"a"), cache.get(b"b"), cache.get(b"c")),
        (Some(1), Some(2), None)
    );
    cache.insert(b"a", 3, 10);
    assert_eq!((cache.get(b"a"), cache.len()), (Some(3), 2));
    cache.remove(b"a");
    assert_eq!(
        (cache.get(b"a"), cache.get(b"b"), cache.len()),
        (None, Some(2), 1)
    );
}

#[test]
fn the_least_recently_used_goes_first() {
    let cache = cache(3, 10_000);
    for (number, token) in (0..).zip([b"a", b"b", b"c"]) {
        cache.insert(token, number, 1);
    }
    assert_eq!(cache.get(b"a"), Some(0));
    cache.insert(b"d", 3, 1);
    assert_eq!(cache.get(b"b"), None);
    assert_eq!(
        (cache.get(b"a"), cache.get(b"c"), cache.get(b"d")),
        (Some(0), Some(2), Some(3))
    );
}

#[test]
fn bytes_are_bounded() {
    let each = 100 + OWN_BYTES + 1;
    let cache = cache(1000, 3 * each);
    for (number, token) in (0..).zip([b"a", b"b", b"c", b"d"]) {
        cache.insert(token, number, 100);
    }
    assert_eq!(
        (cache.len(), cache.get(b"a"), cache.get(b"d")),
        (3, None, Some(3))
    );
    // One that would not fit alone drives nobody out.
    cache.insert(b"e", 4, 3 * each);
    assert_eq!(
        (cache.len(), cache.get(b"e"), cache.get(b"d")),
        (3, None, Some(3))
    );
    cache.insert(b"f", 5, 2 * each);
    assert_eq!((cache.len(), cache.get(b"f")), (1, Some(5)));
}

#[test]
fn no_entries_keep_nothing() {
    let cache = cache(0, 10_000);
    cache.insert(b"a", 1, 1);
    assert!(cache.is_empty() && cache.get(b"a").is_none());
}

/// A digest that two tokens share by chance, or by somebody's work: what is found is another's.
#[test]
fn one_digest_is_not_one_token() {
    let cache = cache(10, 10_000);
    let token = [b"head.claims.".as_slice(), &[b's'; COMPARED_BYTES]].concat();
    cache.insert(&token, 1, 1);
    let digest = cache.digest(&token);
    let forced = |other: &[u8]| {
        let kept = cache.kept.borrow();
        let place = kept.by_digest[&digest];
        kept.entries[index(place)].is_of(other)
    };
    assert!(forced(&token));
    // Longer, shorter, and another signature of the same length.
    let longer = [b"x".as_slice(), &token].concat();
    assert!(!forced(&longer) && !forced(&token[1..]));
    for at in [0, 1, COMPARED_BYTES - 1] {
        let mut twin = token.clone();
        twin["head.claims.".len() + at] = b't';
        assert!(!forced(&twin), "{at}");
    }
    // Other claims under the same signature have another digest: nobody can look for one of the same without the key.
    let mut other = token.clone();
    other[6] = b'C';
    assert_eq!(cache.get(&other), None);
}

#[test]
fn digests_depend_on_the_key() {
    let other = TokenCache::<u32>::new(Limits { entries: 1, bytes: 1 }, *b"0123456789abcdeg");
    assert_ne!(cache(1, 1).digest(b"token"), other.digest(b"token"));
}

/// Against a plain list that does the same, on operations by chance.
#[test]
fn it_is_a_list_in_the_order_of_use() {
    let mut random = fastrand::Rng::with_seed(7);
    let cache = cache(8, usize::MAX);
    let mut list: Vec<(Vec<u8>, u32)> = Vec::new();
    for number in 0..20_000 {
        let token = vec![random.u8(0..20); 3];
        let at = list.iter().position(|(other, _)| *other == token);
        match random.u8(0..4) {
            0 => {
                cache.remove(&token);
                at.map(|at| list.remove(at));
            }
            1 => {
                cache.insert(&token, number, 1);
                at.map(|at| list.remove(at));
                list.push((token, number));
                if list.len() > 8 {
                    list.remove(0);
                }
            }
            _ => {
                assert_eq!(cache.get(&token), at.map(|at| list[at].1));
                if let Some(at) = at {
                    let used = list.remove(at);
                    list.push(used);
                }
            }
        }
        assert_eq!(cache.len(), list.len());
    }
}
