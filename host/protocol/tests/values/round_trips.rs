//! Every value of every type comes back from every form.

use odeon_protocol::{
    Value, cbor, json,
    test_util::{arb_call, arb_damage, arb_type, arb_typed},
    wave, wire,
};
use proptest::prelude::*;

use crate::limits;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn wire((ty, value) in arb_typed()) {
        let bytes = wire::encode(&ty, &value, &limits()).unwrap();
        prop_assert_eq!(wire::validate(&ty, &bytes, &limits()), Ok(()));
        let back = wire::decode(&ty, &bytes, &limits()).unwrap();
        prop_assert_eq!(&back, &value);
        prop_assert_eq!(wire::encode(&ty, &back, &limits()).unwrap(), bytes);
    }

    #[test]
    fn wave((ty, value) in arb_typed()) {
        let text = wave::print(&ty, &value, &limits()).unwrap();
        let back = wave::parse_value(&ty, &text, &limits());
        prop_assert_eq!(back, Ok(value.clone()), "{}", text);
    }

    #[test]
    fn json((ty, value) in arb_typed()) {
        let json = json::encode(&ty, &value, &limits()).unwrap();
        prop_assert_eq!(json::decode(&ty, &json, &limits()), Ok(value.clone()), "{}", json);
        // Through text as well: that is how it travels.
        let json: serde_json::Value = serde_json::from_str(&json.to_string()).unwrap();
        prop_assert_eq!(json::decode(&ty, &json, &limits()), Ok(value.clone()), "{}", json);
    }

    #[test]
    fn cbor((ty, value) in arb_typed()) {
        let bytes = cbor::encode(&ty, &value, &limits()).unwrap();
        prop_assert_eq!(cbor::decode(&ty, &bytes, &limits()), Ok(value));
    }

    #[test]
    fn arguments((function, values) in arb_call()) {
        let l = limits();
        let bytes = wire::encode_args(&function, &values, &l).unwrap();
        prop_assert_eq!(wire::validate_args(&function, &bytes, &l), Ok(()));
        prop_assert_eq!(wire::decode_args(&function, &bytes, &l), Ok(values.clone()));

        let text = wave::print_args(&function, &values, &l).unwrap();
        prop_assert_eq!(wave::parse_args(&function, &text, &l), Ok(values.clone()));
        let call = format!("wasi:x/y@0.1.0.f({text})");
        let call = wave::parse_invocation(&call).unwrap();
        prop_assert_eq!(call.name, "wasi:x/y@0.1.0.f");
        prop_assert_eq!(call.parse_args(&function, &l), Ok(values.clone()));

        let json = json::encode_args(&function, &values, &l).unwrap();
        prop_assert_eq!(json::args_from(&function, &json, &l), Ok(values.clone()));
        let named = function.params.iter().zip(json.as_array().unwrap());
        let named = named.map(|(param, json)| (param.name.to_string(), json.clone())).collect();
        prop_assert_eq!(json::args_from(&function, &named, &l), Ok(values.clone()));

        let bytes = cbor::encode_args(&function, &values, &l).unwrap();
        prop_assert_eq!(cbor::decode_args(&function, &bytes, &l), Ok(values));
    }

    /// The check on the hot path and the decoder never disagree, neither on
    /// whether bytes are good nor on what is wrong with them.
    #[test]
    fn validate_accepts_what_decode_accepts(
        (function, bytes) in arb_call().prop_flat_map(|(function, values)| {
            let bytes = wire::encode_args(&function, &values, &limits()).unwrap();
            (Just(function), arb_damage(bytes))
        })
    ) {
        let decoded = wire::decode_args(&function, &bytes, &limits());
        let checked = wire::validate_args(&function, &bytes, &limits());
        prop_assert_eq!(checked.as_ref().err(), decoded.as_ref().err());
        let prepared = wire::Validator::new(&function).check_args(&bytes, &limits());
        prop_assert_eq!(&prepared, &checked);
        if let Ok(values) = decoded {
            // What was accepted is what its value is written as, but for NaNs.
            let again = wire::encode_args(&function, &values, &limits()).unwrap();
            prop_assert_eq!(again.len(), bytes.len());
            prop_assert_eq!(wire::decode_args(&function, &again, &limits()), Ok(values));
        }
    }

    /// The same under limits so small that they decide.
    #[test]
    fn validate_and_decode_agree_on_limits((ty, value) in arb_typed(), depth in 0_usize..6, nodes in 0_usize..12) {
        let bytes = wire::encode(&ty, &value, &limits()).unwrap();
        let tight = odeon_protocol::ValueLimits { max_depth: depth, max_nodes: nodes, ..limits() };
        let decoded = wire::decode(&ty, &bytes, &tight);
        prop_assert_eq!(wire::validate(&ty, &bytes, &tight).err(), decoded.as_ref().err().cloned());
        prop_assert_eq!(wire::encode(&ty, &value, &tight).is_ok(), decoded.is_ok());
    }

    /// A value of one type seen as another is refused or equally well formed;
    /// it never becomes something else on the way.
    #[test]
    fn a_value_of_another_type_is_refused((_, value) in arb_typed(), ty in arb_type()) {
        let fits = wire::encode(&ty, &value, &limits());
        prop_assert_eq!(json::encode(&ty, &value, &limits()).is_ok(), fits.is_ok());
        prop_assert_eq!(cbor::encode(&ty, &value, &limits()).is_ok(), fits.is_ok());
        prop_assert_eq!(wave::print(&ty, &value, &limits()).is_ok(), fits.is_ok());
        if let Ok(bytes) = fits {
            prop_assert_eq!(wire::decode(&ty, &bytes, &limits()), Ok(value));
        }
    }
}

#[test]
fn every_nan_is_the_same_value_and_has_one_wire_form() {
    let odd = Value::F32(f32::from_bits(0xffa0_1234));
    assert_eq!(odd, Value::F32(f32::NAN));
    let ty = odeon_protocol::Type::F32;
    assert_eq!(wire::encode(&ty, &odd, &limits()).unwrap(), [0, 0, 0xc0, 0x7f]);
    assert_eq!(wave::print(&ty, &odd, &limits()).unwrap(), "nan");
    assert_eq!(json::encode(&ty, &odd, &limits()).unwrap(), "NaN");
    assert_ne!(Value::F64(0.0), Value::F64(-0.0));
}
