//! Every WIT value shape, sent back as it came.
//!
//! The differential tests of the value codecs and the benches call it; so it does nothing else with a value, and
//! imports nothing.

odeon_sdk::plugin!();

use std::cell::Cell;

use exports::odeon_tests::echo::counters::{self, Counter, CounterBorrow, GuestCounter};
use exports::odeon_tests::echo::echo::{
    self, Blob, EmptyLists, Joined, Nine, Notes, Pair, Scalars, Seventeen, Shape, Style, ThirtyTwo, Three,
    Tree,
};

struct Echo;

/// A method that returns its only argument.
macro_rules! echo {
    ($name:ident: $type:ty) => {
        fn $name(value: $type) -> $type {
            value
        }
    };
}

impl echo::Guest for Echo {
    echo!(bytes: Vec<u8>);
    echo!(u16s: Vec<u16>);
    echo!(u32s: Vec<u32>);
    echo!(u64s: Vec<u64>);
    echo!(s8s: Vec<i8>);
    echo!(s64s: Vec<i64>);
    echo!(f32s: Vec<f32>);
    echo!(f64s: Vec<f64>);
    echo!(bools: Vec<bool>);
    echo!(chars: Vec<char>);
    echo!(strings: Vec<String>);
    echo!(nested: Vec<Vec<Vec<u32>>>);
    echo!(pairs: Vec<Pair>);
    echo!(shapes: Vec<Shape>);
    echo!(joineds: Vec<Joined>);
    echo!(scalars_list: Vec<Scalars>);
    echo!(echo_bool: bool);
    echo!(echo_u8: u8);
    echo!(echo_s8: i8);
    echo!(echo_u16: u16);
    echo!(echo_s16: i16);
    echo!(echo_u32: u32);
    echo!(echo_s32: i32);
    echo!(echo_u64: u64);
    echo!(echo_s64: i64);
    echo!(echo_f32: f32);
    echo!(echo_f64: f64);
    echo!(echo_char: char);
    echo!(echo_string: String);
    echo!(echo_pair: Pair);
    echo!(echo_scalars: Scalars);
    echo!(echo_shape: Shape);
    echo!(echo_empty_lists: EmptyLists);
    echo!(echo_style: Style);
    echo!(echo_joined: Joined);
    echo!(echo_tree: Tree);
    echo!(echo_three: Three);
    echo!(echo_nine: Nine);
    echo!(echo_seventeen: Seventeen);
    echo!(echo_thirty_two: ThirtyTwo);
    echo!(echo_notes: Notes);
    echo!(echo_option: Option<String>);
    echo!(echo_nested_option: Option<Option<u32>>);
    echo!(echo_result: Result<String, u8>);
    echo!(echo_bare_result: Result<(), ()>);
    echo!(echo_tuple: (u8, String, f64, Option<char>));
    echo!(echo_one_tuple: (u64,));
    echo!(echo_options: Vec<Option<i16>>);

    fn add(a: u32, b: u32) -> u32 {
        a.wrapping_add(b)
    }

    fn echo_blob(value: Blob) -> Result<Blob, String> {
        if value.name.is_empty() {
            Err("the blob has no name".to_owned())
        } else {
            Ok(value)
        }
    }

    fn narrow(value: i16) -> i8 {
        i8::try_from(value).unwrap_or(if value < 0 { i8::MIN } else { i8::MAX })
    }

    #[rustfmt::skip]
    fn sixteen(
        a: u32, b: u32, c: u32, d: u32, e: u32, f: u32, g: u32, h: u32,
        i: u32, j: u32, k: u32, l: u32, m: u32, n: u32, o: u32, p: u32,
    ) -> u64 {
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p].into_iter().map(u64::from).sum()
    }

    #[rustfmt::skip]
    fn seventeen_parameters(
        a: u32, b: u32, c: u32, d: u32, e: u32, f: u32, g: u32, h: u32,
        i: u32, j: u32, k: u32, l: u32, m: u32, n: u32, o: u32, p: u32, q: u32,
    ) -> u64 {
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q].into_iter().map(u64::from).sum()
    }

    fn mixed(
        a: u8,
        b: String,
        c: f32,
        d: Vec<u8>,
        e: Option<u64>,
        f: char,
        g: Pair,
        h: Joined,
        i: Three,
        j: i8,
    ) -> String {
        let d = d.len();
        let e = e.map_or_else(|| "none".to_owned(), |e| e.to_string());
        let g = g.name;
        let h = match h {
            Joined::Nothing => "nothing".to_owned(),
            Joined::Small(value) => value.to_string(),
            Joined::Large(value) => value.to_string(),
            Joined::Text(value) => value,
            Joined::Precise(value) => value.to_string(),
            Joined::Outcome(Ok(value)) => value.to_string(),
            Joined::Outcome(Err(value)) => value,
            Joined::Position(point) => format!("{}:{}", point.x, point.y),
            Joined::Letter(value) => value.to_string(),
        };
        let i = i.bits();
        format!("{a}, {b}, {c}, {d}, {e}, {f}, {g}, {h}, {i}, {j}")
    }

    fn swap(a: String, b: u32) -> (u32, String) {
        (b, a)
    }

    fn nothing() {}

    fn swallow(_value: Vec<String>) {}

    fn no_parameters() -> String {
        "no parameters".to_owned()
    }

    fn fail(reason: String) -> Result<u32, Joined> {
        Err(Joined::Text(reason))
    }

    fn make_bytes(count: u32) -> Vec<u8> {
        vec![0; count as usize]
    }
}

/// The state behind a `counter` handle.
struct Count(Cell<u32>);

impl GuestCounter for Count {
    fn new(start: u32) -> Self {
        Self(Cell::new(start))
    }

    fn next(&self) -> u32 {
        let value = self.0.get();
        self.0.set(value.wrapping_add(1));
        value
    }
}

impl counters::Guest for Echo {
    type Counter = Count;

    fn make(start: u32) -> Counter {
        Counter::new(Count::new(start))
    }

    fn peek(counter: CounterBorrow<'_>) -> u32 {
        counter.get::<Count>().0.get()
    }
}

impl Guest for Echo {
    fn greet(name: String) -> String {
        format!("Hello, {name}!")
    }

    fn world_add(a: u32, b: u32) -> u32 {
        a.wrapping_add(b)
    }

    fn world_note(title: String, lines: Vec<String>) -> (String, Vec<String>) {
        (title, lines)
    }
}

export!(Echo);
