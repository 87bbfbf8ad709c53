use super::*;

/// The seed of RFC 6238 appendix B for SHA-1: `12345678901234567890`.
const RFC_SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// The 80-bit seed of many a tutorial.
const SHORT_SEED: &str = "JBSWY3DPEHPK3PXP";

fn seed(text: &str) -> Seed {
    Seed::parse_insecure_short(text).unwrap()
}

fn code(seed: &Seed, parameters: &CodeParameters, seconds: u64) -> String {
    let code = code_at(seed, parameters, UnixTime::from_seconds(seconds));
    String::from_utf8(code.expose().to_vec()).unwrap()
}

fn verified(presented: &[u8], seconds: u64) -> Option<u64> {
    let now = UnixTime::from_seconds(seconds);
    verify(&[seed(RFC_SEED)], &CodeParameters::DEFAULT, presented, now).map(|matched| matched.step)
}

#[test]
fn rfc_6238_appendix_b() {
    let vectors: [(u64, [&str; 3]); 6] = [
        (59, ["94287082", "46119246", "90693936"]),
        (1_111_111_109, ["07081804", "68084774", "25091201"]),
        (1_111_111_111, ["14050471", "67062674", "99943326"]),
        (1_234_567_890, ["89005924", "91819424", "93441116"]),
        (2_000_000_000, ["69279037", "90698825", "38618901"]),
        (20_000_000_000, ["65353130", "77737706", "47863826"]),
    ];
    let hashes = [
        (Algorithm::Sha1, 20),
        (Algorithm::Sha256, 32),
        (Algorithm::Sha512, 64),
    ];
    for (seconds, expected) in vectors {
        for ((algorithm, length), expected) in hashes.into_iter().zip(expected) {
            let bytes = b"1234567890".iter().cycle().take(length).copied().collect();
            let parameters = CodeParameters::new(algorithm, Digits::Eight, 30, 1).unwrap();
            // By step: the last vector lies beyond the clock, whose nanoseconds end in the year 2554.
            let code = code_of_step(&Seed::of(Secret::new(bytes)), &parameters, seconds / 30);
            assert_eq!(code.expose(), expected.as_bytes(), "{algorithm:?} at {seconds}");
        }
    }
}

#[test]
fn six_digits() {
    let vectors = [
        (RFC_SEED, 59, "287082"),
        (RFC_SEED, 1_111_111_109, "081804"),
        (RFC_SEED, 1_111_111_111, "050471"),
        (RFC_SEED, 1_234_567_890, "005924"),
        (RFC_SEED, 2_000_000_000, "279037"),
        (SHORT_SEED, 0, "282760"),
        (SHORT_SEED, 30, "996554"),
        (SHORT_SEED, 1_234_567_890, "742275"),
    ];
    for (text, seconds, expected) in vectors {
        assert_eq!(code(&seed(text), &CodeParameters::DEFAULT, seconds), expected);
    }
    let last = code_of_step(&seed(RFC_SEED), &CodeParameters::DEFAULT, 20_000_000_000 / 30);
    assert_eq!(last.expose(), b"353130");
}

/// RFC 2104 §2: a key longer than a block is hashed first. RFC 4231 test case 6 has such a key.
#[test]
fn a_seed_longer_than_a_block_is_hashed() {
    let long = Seed::of(Secret::new(vec![0xaa; 131]));
    let hashed = Seed::of(Secret::new(Sha256::digest([0xaa; 131]).to_vec()));
    let parameters = CodeParameters::new(Algorithm::Sha256, Digits::Eight, 30, 1).unwrap();
    assert_eq!(code(&long, &parameters, 59), code(&hashed, &parameters, 59));

    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&[0xaa; 131]).unwrap();
    mac.update(&7_u64.to_be_bytes());
    assert_eq!(
        authenticate::<Sha256, Hmac<Sha256>>(&[0xaa; 131], 7_u64.to_be_bytes()),
        mac.finalize().into_bytes().to_vec()
    );
}

#[test]
fn edges_of_the_window() {
    let now = 1_234_567_890; // the first second of its step
    let seed = seed(RFC_SEED);
    let at = |seconds| code(&seed, &CodeParameters::DEFAULT, seconds);
    let step = now / 30;
    assert_eq!(verified(at(now + 59).as_bytes(), now), Some(step + 1));
    assert_eq!(verified(at(now + 60).as_bytes(), now), None);
    assert_eq!(verified(at(now).as_bytes(), now), Some(step));
    assert_eq!(verified(at(now - 30).as_bytes(), now), Some(step - 1));
    assert_eq!(verified(at(now - 31).as_bytes(), now), None);
}

#[test]
fn a_window_may_be_narrower_or_wider() {
    let now = 1_234_567_890;
    let seeds = [seed(RFC_SEED)];
    for (steps, passes) in [
        (0, [false, false, true, false, false]),
        (1, [false, true, true, true, false]),
        (2, [true, true, true, true, true]),
    ] {
        let parameters = CodeParameters::DEFAULT.with_window_steps(steps).unwrap();
        assert_eq!(parameters.window_steps(), steps);
        let results = [now - 60, now - 30, now, now + 30, now + 60].map(|seconds| {
            let code = code(&seeds[0], &parameters, seconds);
            verify(&seeds, &parameters, code.as_bytes(), UnixTime::from_seconds(now)).is_some()
        });
        assert_eq!(results, passes);
    }
}

#[test]
fn the_first_step_has_none_before_it() {
    let window = Window::new(
        &[seed(RFC_SEED)],
        &CodeParameters::DEFAULT,
        UnixTime::from_seconds(0),
    );
    assert_eq!(window.step(), 0);
    assert_eq!(window.matching(b"287082"), Some(Match { step: 1, seed: 0 }));
    assert_eq!(window.codes.len(), 2);
}

#[test]
fn any_seed_fits_and_no_seed_fits_nothing() {
    let seeds = [seed(SHORT_SEED), seed(RFC_SEED)];
    let now = UnixTime::from_seconds(1_234_567_890);
    let of = |seed| {
        Some(Match {
            step: 41_152_263,
            seed,
        })
    };
    assert_eq!(verify(&seeds, &CodeParameters::DEFAULT, b"742275", now), of(0));
    assert_eq!(verify(&seeds, &CodeParameters::DEFAULT, b"005924", now), of(1));
    assert_eq!(verify(&[], &CodeParameters::DEFAULT, b"005924", now), None);
    assert_eq!(verify(&[], &CodeParameters::DEFAULT, b"", now), None);
}

#[test]
fn a_code_of_several_steps_counts_for_the_newest() {
    let code = |digits: &[u8; 8]| Code {
        places: Secret::new(*digits),
        digits: Digits::Eight,
    };
    let codes = [(7, b"11111111"), (9, b"11111111"), (8, b"11111111")];
    let window = Window {
        step: 8,
        codes: codes
            .map(|(step, digits)| (Match { step, seed: 0 }, code(digits)))
            .to_vec(),
    };
    assert_eq!(window.matching(b"11111111"), Some(Match { step: 9, seed: 0 }));
}

#[test]
fn only_exact_digits_are_a_code() {
    assert_eq!(verified(b"005924", 1_234_567_890), Some(41_152_263));
    for presented in [
        b"".as_slice(),
        b"5924",
        b" 005924",
        b"005924 ",
        b"005924\n",
        b"0059240",
        b"005924\0",
        b"00 924",
        b"+05924",
        b"89005924",
        "\u{0660}\u{0660}\u{0665}".as_bytes(),
        &[0xff; 6],
    ] {
        assert_eq!(verified(presented, 1_234_567_890), None);
    }
}

#[test]
fn seeds_in_base32() {
    for text in [
        RFC_SEED,
        "gezdgnbvgy3tqojqgezdgnbvgy3tqojq",
        "GezdgnbvGY3TQOJQgezdgnbvgy3tqojq",
    ] {
        assert_eq!(
            Seed::parse(text).unwrap().bytes.expose().as_slice(),
            b"12345678901234567890"
        );
    }
    for text in ["AAAAAAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAA======"] {
        assert_eq!(Seed::parse(text).unwrap().bytes.expose().as_slice(), [0; 16]);
    }
}

#[test]
fn refused_seeds() {
    let cases = [
        ("", SeedError::Empty),
        ("====", SeedError::Empty),
        (" ", SeedError::Character),
        ("GEZD GNBV", SeedError::Character),
        ("GEZDGNB1", SeedError::Character),
        ("GEZD-GNB", SeedError::Character),
        ("GE==ZDGN", SeedError::Character),
        ("GEZDGNBV\n", SeedError::Character),
        ("GEZDGN\u{e9}V", SeedError::Character),
        ("A", SeedError::Length),
        ("AAA", SeedError::Length),
        ("AAAAAA", SeedError::Length),
        ("AAAAAA==", SeedError::Length),
        ("AA==", SeedError::Length),
        ("AA==============", SeedError::Length),
        ("AAAAAAAA========", SeedError::Length),
        ("AB", SeedError::TrailingBits),
        ("AAAAAAAAAAAAAAAAAAAAAAAAAB", SeedError::TrailingBits),
        (SHORT_SEED, SeedError::TooShort { bits: 80 }),
        ("AAAAAAAAAAAAAAAAAAAAAAAA", SeedError::TooShort { bits: 120 }),
    ];
    for (text, expected) in cases {
        assert_eq!(Seed::parse(text).err(), Some(expected), "`{text}`");
    }
    assert_eq!(
        SeedError::TooShort { bits: 80 }.to_string(),
        "seed has 80 bits, at least 128 are needed"
    );
}

#[test]
fn refused_parameters() {
    let parameters =
        |period, window| CodeParameters::new(Algorithm::Sha1, Digits::Six, period, window).map(|_| ());
    assert_eq!(parameters(300, 2), Ok(()));
    for period_seconds in [0, 301] {
        let error = CodeParametersError::Period { period_seconds };
        assert_eq!(parameters(period_seconds, 1), Err(error));
    }
    let error = CodeParametersError::Window { window_steps: 3 };
    assert_eq!(parameters(30, 3), Err(error));
    assert_eq!(error.to_string(), "window of `3` steps is not within 0 to 2");
}

#[test]
fn neither_seeds_nor_codes_are_printed() {
    let seeds = [seed(RFC_SEED)];
    let window = Window::new(&seeds, &CodeParameters::DEFAULT, UnixTime::from_seconds(59));
    assert_eq!(format!("{:?}", seeds[0]), "Seed(*****)");
    let printed = format!("{window:?}");
    assert_eq!(printed.matches("*****").count(), 3);
    assert!(
        !printed.contains(|character: char| character.is_ascii_digit() && character > '2'),
        "{printed}"
    );
}
