//! A list that grows without moving what it holds.
//!
//! Doubling a list of a million slots would copy all of it while a stream's lock is held, and leave half of it
//! empty. Here only the first chunk doubles; every further one is allocated once. Invariant: every chunk but the
//! last is full.

/// A list in chunks of `N` items; `N` is a power of two.
#[derive(Debug)]
pub(super) struct Chunked<T, const N: usize = 4096> {
    chunks: Vec<Vec<T>>,
    len: usize,
}

impl<T, const N: usize> Default for Chunked<T, N> {
    fn default() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }
}

impl<T, const N: usize> Chunked<T, N> {
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub fn push(&mut self, item: T) {
        if self.len.is_multiple_of(N) {
            self.chunks.push(if self.len == 0 { Vec::new() } else { Vec::with_capacity(N) });
        }
        self.chunks[self.len / N].push(item);
        self.len += 1;
    }

    /// The item at `index`, which the caller got from this list.
    #[inline]
    pub fn get(&self, index: u32) -> &T {
        &self.chunks[index as usize / N][index as usize % N]
    }

    #[inline]
    pub fn get_mut(&mut self, index: u32) -> &mut T {
        &mut self.chunks[index as usize / N][index as usize % N]
    }

    pub fn truncate(&mut self, len: usize) {
        if len >= self.len {
            return;
        }
        self.len = len;
        self.chunks.truncate(len.div_ceil(N));
        if let Some(last) = self.chunks.last_mut() {
            last.truncate(len - (len - 1) / N * N);
        }
    }

    /// Index of the first item for which `before` is false; the list is partitioned by it.
    pub fn partition_point(&self, before: impl Fn(&T) -> bool) -> u32 {
        let chunk = self.chunks.partition_point(|chunk| chunk.last().is_some_and(&before));
        let within = self.chunks.get(chunk).map_or(0, |chunk| chunk.partition_point(before));
        (chunk * N + within).min(self.len) as u32
    }

    /// Bytes allocated, used or not; what the items themselves point to is not in it.
    pub fn memory_bytes(&self) -> usize {
        let items: usize = self.chunks.iter().map(Vec::capacity).sum();
        items * size_of::<T>() + self.chunks.capacity() * size_of::<Vec<T>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn chunks_behave_like_one_list(steps in prop::collection::vec((0u32..40, any::<bool>()), 0..200)) {
            let mut chunked = Chunked::<u32, 4>::default();
            let mut plain = Vec::new();
            for (n, cuts) in steps {
                if cuts {
                    chunked.truncate(n as usize);
                    plain.truncate(n as usize);
                } else {
                    let item = plain.last().map_or(0, |last| last + n % 3);
                    chunked.push(item);
                    plain.push(item);
                }
                prop_assert_eq!(chunked.len(), plain.len());
                prop_assert!((0..).zip(&plain).all(|(index, item)| chunked.get(index) == item));
                let found = chunked.partition_point(|&item| item < n) as usize;
                prop_assert_eq!(found, plain.partition_point(|&item| item < n));
            }
        }
    }

    #[test]
    fn a_short_list_allocates_little() {
        let mut chunked = Chunked::<u64>::default();
        assert_eq!(chunked.memory_bytes(), 0);
        chunked.push(1);
        assert!(chunked.memory_bytes() <= 256);
    }
}
