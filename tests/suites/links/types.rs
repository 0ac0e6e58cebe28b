//! Every kind of value from one plugin to another and back.

use odeon_protocol::test_util::arb_value;
use odeon_protocol::{Value, wire};
use odeon_runtime::{CallContext, Method, Plugin};
use odeon_tests::runtime::wide;
use proptest::strategy::Strategy as _;
use proptest::test_runner::{Config, TestRunner};
use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{Resolve, WorldItem};

use crate::town::Town;

const ECHO: &str = include_str!("../../guests/echo/wit/world.wit");

/// Random calls of each function.
const CASES: u32 = 24;

/// Where the forwarder has results written that do not fit a slot.
const RESULT: u32 = 1024;

/// A component that imports what `guest-echo` exports and exports it again. It
/// passes on slots and pointers as they come.
fn forwarder() -> Vec<u8> {
    let mut resolve = Resolve::default();
    let text = format!("{ECHO}\nworld forwarder {{ import echo; export echo; }}\n");
    let package = resolve.push_source("echo.wit", &text).unwrap();
    let world = resolve.select_world(&[package], Some("forwarder")).unwrap();
    let (key, echo) = resolve.worlds[world]
        .imports
        .iter()
        .find_map(|(key, item)| match item {
            WorldItem::Interface { id, .. } => Some((resolve.name_world_key(key), *id)),
            _ => None,
        })
        .unwrap();
    let list = |types: &[WasmType]| {
        let words: Vec<&str> = types.iter().map(|ty| core(*ty)).collect();
        words.join(" ")
    };
    let (mut imports, mut bodies) = (String::new(), String::new());
    for (name, function) in &resolve.interfaces[echo].functions {
        let lowered = resolve.wasm_signature(AbiVariant::GuestImport, function);
        let lifted = resolve.wasm_signature(AbiVariant::GuestExport, function);
        imports += &format!(
            "(import \"{key}\" \"{name}\" (func ${name} (param {}) (result {})))\n",
            list(&lowered.params),
            list(&lowered.results)
        );
        let passed: String = (0..lifted.params.len())
            .map(|slot| format!("local.get {slot} "))
            .collect();
        let (to, from) = match lowered.retptr {
            true => (format!("i32.const {RESULT} "), format!(" i32.const {RESULT}")),
            false => (String::new(), String::new()),
        };
        bodies += &format!(
            "(func (export \"{key}#{name}\") (param {}) (result {}) {passed}{to}call ${name}{from})\n",
            list(&lifted.params),
            list(&lifted.results)
        );
    }
    let module = format!(
        "(module {imports}
            (memory (export \"memory\") 1)
            (global $top (mut i32) (i32.const 8192))
            (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) (local $at i32)
                (local.set $at (i32.and
                    (i32.add (global.get $top) (i32.sub (local.get 2) (i32.const 1)))
                    (i32.sub (i32.const 0) (local.get 2))))
                (global.set $top (i32.add (local.get $at) (local.get 3)))
                (block $enough (loop $more
                    (br_if $enough (i32.le_u (global.get $top) (i32.mul (memory.size) (i32.const 65536))))
                    (if (i32.lt_s (memory.grow (i32.const 16)) (i32.const 0)) (then unreachable))
                    (br $more)))
                (local.get $at))
            {bodies})"
    );
    let mut module = odeon_tests::guests::assemble(&module);
    let encoding = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, encoding).unwrap();
    wit_component::ComponentEncoder::default()
        .module(&module)
        .unwrap()
        .encode()
        .unwrap()
}

fn core(ty: WasmType) -> &'static str {
    match ty {
        WasmType::I32 | WasmType::Pointer | WasmType::Length => "i32",
        WasmType::I64 | WasmType::PointerOrI64 => "i64",
        WasmType::F32 => "f32",
        WasmType::F64 => "f64",
    }
}

fn ask(plugin: &Plugin, method: &Method, args: &[u8]) -> Option<Value> {
    let reply = plugin
        .call_blocking(method.id, args, CallContext::default())
        .unwrap_or_else(|fault| panic!("{}: {fault}", method.function));
    wire::decode_result(&method.ty, &reply.bytes, &wide()).expect("a value of the result")
}

/// Enforced by `lift::params`, `lift::spilled`, `lower::result` and
/// `lower::result_at`: the answer through a link is the provider's own.
#[test]
fn every_type_goes_from_one_plugin_to_another_and_back() {
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let town = Town::new();
    let echo = tokio.block_on(town.load(&town.spec("echo"), "guest-echo"));
    let spec = town.spec("forwarder").link("odeon-tests:echo/echo", "echo");
    let forwarder = tokio.block_on(spec.prepare(&town.runtime, &forwarder())).unwrap();
    let mut checked = 0;
    for method in forwarder.methods() {
        if &*method.function == "make-bytes" {
            continue;
        }
        let own = echo
            .methods()
            .iter()
            .find(|own| own.interface == method.interface && own.function == method.function)
            .expect("the provider has it too");
        let args: Vec<_> = method
            .ty
            .params
            .iter()
            .map(|param| arb_value(&param.ty))
            .collect();
        let mut runner = TestRunner::new(Config {
            cases: CASES,
            failure_persistence: None,
            ..Config::default()
        });
        runner
            .run(&args.prop_map(|args| args), |args| {
                let args = wire::encode_args(&method.ty, &args, &wide()).unwrap();
                proptest::prop_assert_eq!(ask(&forwarder, method, &args), ask(&echo, own, &args));
                Ok(())
            })
            .unwrap_or_else(|error| panic!("{}: {error}", method.function));
        checked += 1;
    }
    assert!(checked >= 55, "only {checked} functions were compared");
}

/// A list that is copied in one piece, of a size where that matters.
#[test]
fn bytes_go_from_one_plugin_to_another_in_bulk() {
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let town = Town::new();
    tokio.block_on(town.load(&town.spec("echo"), "guest-echo"));
    let spec = town.spec("forwarder").link("odeon-tests:echo/echo@0.1.0", "echo");
    let forwarder = tokio.block_on(spec.prepare(&town.runtime, &forwarder())).unwrap();
    let method = forwarder
        .methods()
        .iter()
        .find(|method| &*method.function == "bytes")
        .unwrap();
    for size in [0, 1, 65_535, 4 << 20] {
        let sent = Value::Bytes((0..size).map(|byte: u32| byte as u8).collect());
        let args = wire::encode_args(&method.ty, &[sent.clone()], &wide()).unwrap();
        assert_eq!(ask(&forwarder, method, &args), Some(sent), "{size} bytes");
    }
}
