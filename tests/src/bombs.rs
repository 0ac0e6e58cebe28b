//! Components that are small on disk and enormous to whoever compiles or
//! describes them.
#![allow(clippy::let_underscore_must_use, reason = "writing to a string cannot fail")]

use std::fmt::Write as _;

use wasm_encoder::{
    CodeSection, ComponentSectionId, Encode as _, Function, FunctionSection, Instruction, Module,
    TypeSection, ValType,
};

use crate::guests::assemble;

/// A component around a module.
fn component(module: &Module) -> Vec<u8> {
    let mut bytes = wasm_encoder::Component::HEADER.to_vec();
    let module = module.as_slice();
    bytes.push(ComponentSectionId::CoreModule.into());
    module.len().encode(&mut bytes);
    bytes.extend_from_slice(module);
    bytes
}

/// Functions of the type `(i32) -> i32`, each with this body.
pub fn functions(count: u32, body: impl Fn(&mut Function)) -> Vec<u8> {
    let mut module = Module::new();
    let mut types = TypeSection::new();
    types.ty().function([ValType::I32], [ValType::I32]);
    let mut declared = FunctionSection::new();
    let mut code = CodeSection::new();
    for _ in 0..count {
        declared.function(0);
        let mut function = Function::new([(1, ValType::I32)]);
        body(&mut function);
        function.instruction(&Instruction::End);
        code.function(&function);
    }
    module.section(&types).section(&declared).section(&code);
    component(&module)
}

/// One function of several megabytes, with a value that lives through all of it.
pub fn huge_function(steps: i32) -> Vec<u8> {
    functions(1, |function| {
        for step in 0..steps {
            for instruction in [
                Instruction::LocalGet(0),
                Instruction::LocalGet(1),
                Instruction::I32Const(step),
                Instruction::I32Mul,
                Instruction::I32Xor,
                Instruction::LocalTee(1),
                Instruction::I32Eqz,
                Instruction::If(wasm_encoder::BlockType::Empty),
                Instruction::LocalGet(1),
                Instruction::LocalSet(0),
                Instruction::End,
            ] {
                function.instruction(&instruction);
            }
        }
        function.instruction(&Instruction::LocalGet(1));
    })
}

/// As many functions as an engine takes, each as small as can be.
pub fn million_functions() -> Vec<u8> {
    functions(1_000_000, |function| {
        function.instruction(&Instruction::LocalGet(0));
    })
}

/// A function whose parameter is a list of lists of … of bytes.
pub fn nested(levels: usize) -> Vec<u8> {
    let mut text = String::from("(component (type $t1 (list u8))");
    for level in 2..levels {
        let _ = write!(text, "(type $t{level} (list $t{}))", level - 1);
    }
    let _ = write!(
        text,
        "(core module $m (memory (export \"memory\") 1) (func (export \"take\") (param i32 i32))
           (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) (i32.const 0)))
         (core instance $i (instantiate $m))
         (alias core export $i \"memory\" (core memory $memory))
         (func (export \"take\") (param \"value\" $t{})
           (canon lift (core func $i \"take\") (memory $memory) (realloc (core func $i \"realloc\")))))",
        levels - 1
    );
    assemble(&text)
}

/// A function whose result is a tuple of two tuples of two tuples of …
pub fn doubled(levels: usize) -> Vec<u8> {
    let mut text = String::from("(component (type $t0 (tuple u8 u8))");
    for level in 1..levels {
        let _ = write!(text, "(type $t{level} (tuple $t{0} $t{0}))", level - 1);
    }
    let _ = write!(
        text,
        "(core module $m (memory (export \"memory\") 1) (func (export \"give\") (result i32) (i32.const 0)))
         (core instance $i (instantiate $m))
         (alias core export $i \"memory\" (core memory $memory))
         (func (export \"give\") (result $t{}) (canon lift (core func $i \"give\") (memory $memory))))",
        levels - 1
    );
    assemble(&text)
}

/// A component that exports one interface of so many functions so many times;
/// none of them has a parameter or a result.
pub fn repeated(functions: usize, times: usize, name: &str) -> Vec<u8> {
    let mut text = String::from(
        r#"(component
            (core module $m (func (export "f")))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "f")))
            (instance $all"#,
    );
    for function in 0..functions {
        let _ = write!(text, "(export \"f{function}\" (func $f))");
    }
    text.push(')');
    for time in 0..times {
        let _ = write!(text, "(export \"a:b/{name}{time}\" (instance $all))");
    }
    text.push(')');
    assemble(&text)
}
