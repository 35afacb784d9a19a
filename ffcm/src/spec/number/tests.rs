use super::*;
use proptest::prelude::*;

fn op(operator: Operator) -> Term {
    Number::Operator(operator).term()
}

fn cast(kind: Kind) -> Term {
    Number::Cast(kind).term()
}

/// `a operator b`, in both orders of arrival.
fn eval(a: Term, operator: Operator, b: Term) -> Term {
    let partial = operate(a, op(operator));
    assert_eq!(partial, operate(op(operator), a));
    let result = operate(partial, b);
    assert_eq!(result, operate(b, partial));
    result
}

fn show(term: Term) -> String {
    Number::from_term(term).expect("a number").to_string()
}

#[test]
fn known_answers_of_hvm2() {
    use Operator::*;
    let u = Term::u24;
    let i = Term::i24;
    let f = Term::f24;
    // Results of the published test programs numerics/{u24,i24,f24}.hvm.
    for (a, operator, b, want) in [
        (u(10), Add, u(2), "12"),
        (u(10), Sub, u(2), "8"),
        (u(10), Mul, u(2), "20"),
        (u(10), Div, u(2), "5"),
        (u(10), Rem, u(2), "0"),
        (u(10), Shl, u(2), "40"),
        (u(10), Shr, u(2), "2"),
        (u(0), Sub, u(1), "16777215"),
        (u(16_777_215), Add, u(1), "0"),
        (u(16_777_215), Shr, u(22), "3"),
        (u(1), FlipSub, u(5), "4"),
        (u(2), FlipShl, u(3), "12"),
        (i(10), Gt, i(2), "1"),
        (i(-8_388_608), Sub, i(1), "+8388607"),
        (i(8_388_607), Add, i(1), "-8388608"),
        (i(3), Rem, i(-2), "+1"),
        (i(-3), Rem, i(2), "-1"),
        (i(-3), Shl, i(2), "+0"),
        (f(1.0), Div, f(0.0), "+inf"),
        (f(-1.0), Div, f(0.0), "-inf"),
        (f(0.0), Div, f(0.0), "+NaN"),
        (f(0.5), Mul, f(2.3), "1.1499939"),
        (f(0.5), Lt, f(2.0), "1"),
        (f(1.2), Rem, f(1.1), "0.1000061"),
        (f(-1.2), Rem, f(1.1), "-0.1000061"),
        (f(1.0), Shl, f(1.0), "0.90930176"),
        (f(2.0), FlipShr, f(2.0), "0.0"),
    ] {
        assert_eq!(
            show(eval(a, operator, b)),
            want,
            "{} {operator:?} {}",
            show(a),
            show(b)
        );
    }
}

#[test]
fn transcendental_bits_do_not_depend_on_the_platform() {
    let f = Term::f32;
    for (a, operator, b, want) in [
        (f(1.0), Operator::And, f(2.0), 0x3eed_6338),
        (f(2.0), Operator::Or, f(10.0), 0x4054_9a78),
        (f(2.5), Operator::Xor, f(-1.5), 0x3e81_86e2),
        (f(1.0), Operator::Shl, f(1.0), 0x3f68_c7b7),
        (f(1.0), Operator::Shr, f(1.0), 0xc00b_d7b1),
    ] {
        let got = eval(a, operator, b).w1();
        assert_eq!(got, want, "{operator:?}: {got:#x}");
    }
}

#[test]
fn cast_vectors_of_hvm2() {
    let (u, i, f) = (Term::u24, Term::i24, Term::f24);
    let (nan, inf) = (f(f32::NAN), f(f32::INFINITY));
    for (number, to, want) in [
        (u(1234), Kind::U24, "1234"),
        (i(-5678), Kind::U24, "16771538"),
        (f(2.8), Kind::U24, "2"),
        (f(-12.5), Kind::U24, "0"),
        (f(16_777_216.0), Kind::U24, "16777215"),
        (inf, Kind::U24, "16777215"),
        (nan, Kind::U24, "0"),
        (f(-12.7), Kind::I24, "-12"),
        (f(8_388_610.0), Kind::I24, "+8388607"),
        (f(-8_388_610.0), Kind::I24, "-8388608"),
        (nan, Kind::I24, "+0"),
        (f(2.15), Kind::F24, "2.1500244"),
        (i(-1234), Kind::F24, "-1234.0"),
        (u(16_775_982), Kind::F24, "16775936.0"),
        (nan, Kind::F24, "+NaN"),
        // Between the widths.
        (i(-1), Kind::U32, "4294967295u32"),
        (i(-1), Kind::I32, "-1i32"),
        (u(16_777_215), Kind::I32, "+16777215i32"),
        (Term::u32(u32::MAX), Kind::U24, "16777215"),
        (Term::i32(-2), Kind::I24, "-2"),
        (Term::u32(u32::MAX), Kind::F32, "4294967300.0f32"),
        (Term::f32(-3.9), Kind::I32, "-3i32"),
        (Term::f32(1e30), Kind::I32, "+2147483647i32"),
        (Term::f32(1.1), Kind::F24, "1.1000061"),
        (inf, Kind::F32, "+inff32"),
    ] {
        assert_eq!(show(operate(cast(to), number)), want);
        assert_eq!(show(operate(number, cast(to))), want);
    }
}

#[test]
fn symbols_meeting_symbols() {
    let zero = Term::u24(0);
    let plus_five = operate(op(Operator::Add), Term::u24(5));
    assert_eq!(show(plus_five), "[+0x0000005]");
    assert_eq!(operate(op(Operator::Add), op(Operator::Sub)), zero);
    assert_eq!(operate(cast(Kind::U24), op(Operator::Sub)), zero);
    assert_eq!(operate(plus_five, plus_five), zero);
    assert_eq!(operate(Term::u24(3), Term::i24(4)), zero);
    assert_eq!(show(operate(op(Operator::Sub), plus_five)), "[-0x0000005]");
    assert_eq!(show(operate(cast(Kind::I24), plus_five)), "+5");
    assert_eq!(operate(Term::ERA, plus_five), zero);
    assert_eq!(
        show(operate(op(Operator::Add), Term::u32(5))),
        "[+0x00000005u32]"
    );
    assert_eq!(show(op(Operator::FlipShr)), "[:>>]");
    assert_eq!(show(cast(Kind::F32)), "[f32]");
}

#[test]
fn left_bits_are_reread_as_the_right_kind() {
    let add = Operator::Add;
    let sum = |a, b| show(eval(a, add, b));
    assert_eq!(sum(Term::i24(-1), Term::u24(0)), "16777215");
    assert_eq!(sum(Term::u24(0xff_ffff), Term::i24(0)), "-1");
    assert_eq!(sum(Term::u24(0x3f_8000), Term::f24(0.5)), "1.5");
    assert_eq!(sum(Term::i24(-1), Term::i32(0)), "-1i32");
    assert_eq!(sum(Term::i24(-1), Term::u32(0)), "16777215u32");
    assert_eq!(sum(Term::f24(1.5), Term::f32(0.25)), "1.75f32");
    assert_eq!(sum(Term::u32(0x0100_0007), Term::u24(1)), "8");
    assert_eq!(sum(Term::f32(1.1), Term::f24(0.0)), "1.1000061");
}

#[test]
fn division_by_zero_is_riscv() {
    let u = Term::u24;
    assert_eq!(eval(u(7), Operator::Div, u(0)), u(MASK24));
    assert_eq!(eval(u(7), Operator::Rem, u(0)), u(7));
    assert_eq!(
        eval(Term::i24(-7), Operator::Div, Term::i24(0)),
        Term::i24(-1)
    );
    assert_eq!(
        eval(Term::i24(-7), Operator::Rem, Term::i24(0)),
        Term::i24(-7)
    );
    let min = Term::i24(-(1 << 23));
    assert_eq!(eval(min, Operator::Div, Term::i24(-1)), min);
    assert_eq!(eval(min, Operator::Rem, Term::i24(-1)), Term::i24(0));
    let min = Term::i32(i32::MIN);
    assert_eq!(eval(min, Operator::Div, Term::i32(-1)), min);
    assert_eq!(eval(min, Operator::Rem, Term::i32(-1)), Term::i32(0));
    assert_eq!(
        eval(Term::u32(0), Operator::FlipDiv, Term::u32(9)),
        Term::u32(u32::MAX)
    );
}

#[test]
fn predecessors_read_the_payload() {
    assert_eq!(predecessor(Term::u24(0)), None);
    assert_eq!(predecessor(Term::u24(9)), Some(Term::u24(8)));
    assert_eq!(predecessor(Term::i24(-1)), Some(Term::u24(MASK24 - 1)));
    assert_eq!(predecessor(Term::f24(0.0)), None);
    assert_eq!(
        predecessor(Term::u32(1 << 31)),
        Some(Term::u32((1 << 31) - 1))
    );
    assert_eq!(predecessor(op(Operator::Add)), Some(Term::u24(3)));
    assert_eq!(predecessor(operate(op(Operator::Add), Term::i32(0))), None);
}

#[test]
fn f24_rounds_ties_to_even_and_keeps_nan() {
    for (bits, want) in [
        (0x00, 0x00),
        (0x7f, 0x00),
        (0x80, 0x00),
        (0x81, 0x01),
        (0xff, 0x01),
        (0x17f, 0x01),
        (0x180, 0x02),
        (0x7f7f_ffff, 0x7f_8000), // the largest binary32 rounds to infinity
        (0x007f_ffff, 0x00_8000), // the largest subnormal to the smallest normal
        (0xff80_0001, NAN24),
    ] {
        assert_eq!(f24_bits(f32::from_bits(bits)), want, "{bits:#x}");
    }
}

#[test]
fn floats_and_what_makes_them_are_recognised() {
    for term in [
        Term::f24(1.0),
        Term::f32(1.0),
        cast(Kind::F24),
        cast(Kind::F32),
    ] {
        assert!(term.is_float());
    }
    for term in [
        Term::u24(1),
        Term::i32(1),
        cast(Kind::U24),
        op(Operator::Add),
        Term::ERA,
    ] {
        assert!(!term.is_float());
    }
}

fn any_number() -> impl Strategy<Value = Number> {
    let kind = proptest::sample::select(&Kind::ALL[..]);
    let operator = proptest::sample::select(&Operator::ALL[..]);
    let bits = prop_oneof![
        any::<u32>(),
        0u32..40,
        (0u32..40).prop_map(|n| n.wrapping_neg())
    ];
    let cut = |bits: u32, wide: bool| if wide { bits } else { bits & MASK24 };
    prop_oneof![
        4 => (kind.clone(), bits.clone()).prop_map(move |(k, b)| {
            Number::from_term(number(k, cut(b, k.is_wide()))).expect("plain")
        }),
        1 => kind.prop_map(Number::Cast),
        1 => operator.clone().prop_map(Number::Operator),
        4 => (operator, bits, any::<bool>()).prop_map(move |(operator, b, wide)| Number::Partial {
            operator,
            bits: cut(b, wide),
            wide,
        }),
    ]
}

/// An independent reference on wide integers: the exact value, then modulo 2^width.
fn exact(operator: Operator, a: i128, b: i128, width: u32, signed: bool) -> Option<i128> {
    let euclid = 1i128 << width;
    Some(
        match operator {
            Operator::Add => a + b,
            Operator::Sub => a - b,
            Operator::FlipSub => b - a,
            Operator::Mul => a * b,
            Operator::Div => {
                if b == 0 {
                    -1
                } else {
                    a / b
                }
            }
            Operator::FlipDiv => {
                if a == 0 {
                    -1
                } else {
                    b / a
                }
            }
            Operator::Rem => {
                if b == 0 {
                    a
                } else {
                    a % b
                }
            }
            Operator::FlipRem => {
                if a == 0 {
                    b
                } else {
                    b % a
                }
            }
            Operator::And => a & b,
            Operator::Or => a | b,
            Operator::Xor => a ^ b,
            Operator::Shl if width == 32 || !signed => a << (b & 31),
            Operator::FlipShl if width == 32 || !signed => b << (a & 31),
            Operator::Shr if width == 32 || !signed => a >> (b & 31),
            Operator::FlipShr if width == 32 || !signed => b >> (a & 31),
            Operator::Shl | Operator::FlipShl | Operator::Shr | Operator::FlipShr => 0,
            _ => return None,
        }
        .rem_euclid(euclid),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, max_local_rejects: 1_000_000, ..ProptestConfig::default() })]

    #[test]
    fn integers_match_exact_arithmetic(
        a in any::<u32>(), b in prop_oneof![any::<u32>(), 0u32..40, any::<u32>().prop_map(|n| n | 0xffff_ff00)],
        operator in proptest::sample::select(&Operator::ALL[..]),
        kind in proptest::sample::select(&[Kind::U24, Kind::I24, Kind::U32, Kind::I32][..]),
    ) {
        let width = if kind.is_wide() { 32 } else { 24 };
        let signed = matches!(kind, Kind::I24 | Kind::I32);
        let mask = (1u128 << width) - 1;
        let (a, b) = (u128::from(a) & mask, u128::from(b) & mask);
        let value = |bits: u128| {
            let bits = bits as i128;
            if signed && bits >> (width - 1) != 0 { bits - (1i128 << width) } else { bits }
        };
        let got = eval(num(kind as u8, a as u32), operator, num(kind as u8, b as u32));
        let (av, bv) = (value(a), value(b));
        let want = match exact(operator, av, bv, width, signed) {
            Some(bits) => num(kind as u8, bits as u32),
            None => {
                let truth = match operator {
                    Operator::Eq => av == bv,
                    Operator::Ne => av != bv,
                    Operator::Lt => av < bv,
                    _ => av > bv,
                };
                num(if kind.is_wide() { Kind::U32 } else { Kind::U24 } as u8, u32::from(truth))
            }
        };
        prop_assert_eq!(got, want);
    }

    #[test]
    fn operate_is_total_commutative_and_closed(a in any_number(), b in any_number()) {
        let got = operate(a.term(), b.term());
        prop_assert_eq!(got, operate(b.term(), a.term()));
        let number = Number::from_term(got);
        prop_assert!(number.is_some());
        prop_assert_eq!(number.map(Number::term), Some(got));
    }

    #[test]
    fn integers_never_make_floats(
        a in any_number().prop_filter("float", |n| !n.is_float()),
        b in any_number().prop_filter("float", |n| !n.is_float()),
    ) {
        prop_assert!(!operate(a.term(), b.term()).is_float());
    }

    #[test]
    fn any_bits_are_survived(a in any::<u64>(), b in any::<u64>()) {
        let got = operate(Term(a), Term(b));
        prop_assert!(Number::from_term(got).is_some());
        let _ = predecessor(Term(a));
    }

    #[test]
    fn float_sums_are_correctly_rounded(a in any::<f32>(), b in any::<f32>()) {
        // Binary64 holds the sum and product of two binary32 closely enough that rounding twice is rounding once.
        for (operator, wide) in [
            (Operator::Add, f64::from(a) + f64::from(b)),
            (Operator::Mul, f64::from(a) * f64::from(b)),
            (Operator::Div, f64::from(a) / f64::from(b)),
        ] {
            let got = eval(Term::f32(a), operator, Term::f32(b));
            prop_assert_eq!(got, Term::f32(wide as f32));
        }
    }

    #[test]
    fn terms_and_numbers_correspond(number in any_number(), word in any::<u64>()) {
        prop_assert_eq!(Number::from_term(number.term()), Some(number));
        let numeric = Term(word & 0xffff_ffff_0000_003f | Term::u24(0).0 & 0xffff_ff00);
        if let Some(number) = Number::from_term(numeric) {
            prop_assert_eq!(number.term(), numeric);
        }
    }
}
