//! Short lists that are kept in order as they grow. The standard library's sorting is several kilobytes of module for each
//! type, and what is sorted here comes nearly in order, or is short.

/// Puts an item in its place, unless it is there.
pub(super) fn insert<T: Ord>(sorted: &mut Vec<T>, item: T) {
    if let Err(place) = sorted.binary_search(&item) {
        sorted.insert(place, item);
    }
}

/// Puts an item behind all that are not behind its key. Boxed: what is behind it moves.
pub(super) fn insert_by<K: Ord, T>(sorted: &mut Vec<(K, Box<T>)>, key: K, item: T) {
    let place = sorted.partition_point(|(other, _)| *other <= key);
    sorted.insert(place, (key, Box::new(item)));
}

/// What stands under a key: what did before, else this, which then does.
pub(super) fn first<K: Ord, V: Copy>(sorted: &mut Vec<(K, V)>, key: K, value: V) -> V {
    match sorted.binary_search_by(|(other, _)| other.cmp(&key)) {
        Ok(place) => sorted.get(place).map_or(value, |(_, first)| *first),
        Err(place) => {
            sorted.insert(place, (key, value));
            value
        }
    }
}
