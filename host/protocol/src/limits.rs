//! How large a value may be.
//!
//! Owns the numbers that bound every conversion of a value, whoever sent it.
//! Messages and frames have limits of their own beside their codecs.

/// Bounds on one value, or on one list of arguments taken together.
///
/// Every codec of values takes these and stops at the first one that is
/// passed. What a decoder allocates is bounded by a small multiple of
/// `max_bytes` plus a small multiple of `max_nodes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ValueLimits {
    /// The longest wire form, or CBOR document, in bytes.
    pub max_bytes: usize,
    /// The deepest nesting; a primitive alone has depth one, as in
    /// [`Type::depth`](crate::Type::depth).
    pub max_depth: usize,
    /// The most values inside one value. Booleans, numbers and chars do not
    /// count: each takes at least a byte, so `max_bytes` bounds them. All else
    /// does, which is what stops four bytes from standing for four thousand
    /// million empty records.
    pub max_nodes: usize,
    /// The longest WAVE text, in bytes.
    pub max_text: usize,
}

impl ValueLimits {
    /// 16 MiB of wire form.
    pub const MAX_BYTES: usize = 16 << 20;
    /// 64 levels.
    pub const MAX_DEPTH: usize = 64;
    /// A quarter of [`ValueLimits::MAX_BYTES`]: strings and lists take at
    /// least four bytes each, so that the bytes end before the nodes do.
    pub const MAX_NODES: usize = Self::MAX_BYTES / 4;
    /// 4 MiB of WAVE.
    pub const MAX_TEXT: usize = 4 << 20;
}

impl Default for ValueLimits {
    fn default() -> Self {
        ValueLimits {
            max_bytes: Self::MAX_BYTES,
            max_depth: Self::MAX_DEPTH,
            max_nodes: Self::MAX_NODES,
            max_text: Self::MAX_TEXT,
        }
    }
}
