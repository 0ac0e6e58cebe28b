//! Rust values in the host's encoding.
//!
//! Owns the types that have a WIT type of their own in Rust. Records are tuples here; flags, and variants of more than
//! two cases, are the author's to write.

/// A value that can be an argument or a result.
pub trait Value: Sized {
    /// Appends it.
    fn write(&self, out: &mut Vec<u8>);

    /// Takes one from the front; nothing where there is none.
    fn read(bytes: &mut &[u8]) -> Option<Self>;
}

macro_rules! numbers {
    ($($type:ty)*) => {$(
        impl Value for $type {
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn read(bytes: &mut &[u8]) -> Option<Self> {
                let (value, rest) = bytes.split_first_chunk()?;
                *bytes = rest;
                Some(<$type>::from_le_bytes(*value))
            }
        }
    )*};
}

numbers!(u8 u16 u32 u64 i8 i16 i32 i64 f32 f64);

impl Value for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        match u8::read(bytes)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Value for char {
    fn write(&self, out: &mut Vec<u8>) {
        u32::from(*self).write(out);
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        char::from_u32(u32::read(bytes)?)
    }
}

impl Value for String {
    fn write(&self, out: &mut Vec<u8>) {
        count(self.len()).write(out);
        out.extend_from_slice(self.as_bytes());
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let length = usize::try_from(u32::read(bytes)?).ok()?;
        let (text, rest) = bytes.split_at_checked(length)?;
        *bytes = rest;
        Some(std::str::from_utf8(text).ok()?.to_owned())
    }
}

impl<T: Value> Value for Vec<T> {
    fn write(&self, out: &mut Vec<u8>) {
        count(self.len()).write(out);
        self.iter().for_each(|item| item.write(out));
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        // Grows as items come: a count alone makes no room.
        (0..u32::read(bytes)?).map(|_| T::read(bytes)).collect()
    }
}

impl<T: Value> Value for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        self.is_some().write(out);
        if let Some(value) = self {
            value.write(out);
        }
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        match bool::read(bytes)? {
            true => T::read(bytes).map(Some),
            false => Some(None),
        }
    }
}

impl<T: Value, E: Value> Value for Result<T, E> {
    fn write(&self, out: &mut Vec<u8>) {
        self.is_err().write(out);
        match self {
            Ok(value) => value.write(out),
            Err(error) => error.write(out),
        }
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        match bool::read(bytes)? {
            false => T::read(bytes).map(Ok),
            true => E::read(bytes).map(Err),
        }
    }
}

macro_rules! tuples {
    ($(($($name:ident)*))*) => {$(
        #[allow(non_snake_case, unused_variables, reason = "one letter is both the type and the value")]
        impl<$($name: Value),*> Value for ($($name,)*) {
            fn write(&self, out: &mut Vec<u8>) {
                let ($($name,)*) = self;
                $($name.write(out);)*
            }

            fn read(bytes: &mut &[u8]) -> Option<Self> {
                Some(($($name::read(bytes)?,)*))
            }
        }
    )*};
}

tuples!(() (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) (A B C D E F G) (A B C D E F G H));

/// A length as values have it. In a guest of 32 bits there is none that is longer.
fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back<T: Value + PartialEq + std::fmt::Debug>(value: T, bytes: &[u8]) {
        let mut written = Vec::new();
        value.write(&mut written);
        assert_eq!(written, bytes);
        let mut rest = bytes;
        assert_eq!(T::read(&mut rest), Some(value));
        assert!(rest.is_empty());
        assert!(bytes.is_empty() || T::read(&mut &bytes[..bytes.len() - 1]).is_none());
    }

    /// The form is that of docs/wire.md.
    #[test]
    fn values_have_the_hosts_form() {
        there_and_back(7_u32, &[7, 0, 0, 0]);
        there_and_back(-1_i16, &[255, 255]);
        there_and_back('a', &[97, 0, 0, 0]);
        there_and_back(true, &[1]);
        there_and_back("hi".to_owned(), &[2, 0, 0, 0, b'h', b'i']);
        there_and_back(vec![1_u8, 2], &[2, 0, 0, 0, 1, 2]);
        there_and_back(Some(1_u8), &[1, 1]);
        there_and_back(Ok::<u8, String>(3), &[0, 3]);
        there_and_back(Err::<(), u8>(3), &[1, 3]);
        there_and_back((1_u8, 2_u16), &[1, 2, 0]);
        there_and_back((), &[]);
    }
}
