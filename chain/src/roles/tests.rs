use super::*;
use crate::keys::SecretKey;

fn key(n: u8) -> PublicKey {
    SecretKey::from_seed(&[n; 32]).public()
}

fn table(powers: &[u64]) -> RoleTable {
    let seats = powers.iter().zip(0..).map(|(power, n)| {
        let name = format!("org-{n}").parse().unwrap();
        (name, Seat { holder: key(n), power: Power(*power), term: Term(0) })
    });
    seats.collect::<BTreeMap<_, _>>().into()
}

#[test]
fn f_is_the_greatest_power_below_a_third() {
    for (total, f) in [(0, 0), (1, 0), (2, 0), (3, 0), (4, 1), (6, 1), (7, 2), (9, 2), (10, 3)] {
        let powers = vec![1; total];
        assert_eq!(table(&powers).f(), Power(f), "{total}");
        assert!(f * 3 < total.max(1) as u64 && (f + 1) * 3 >= total as u64, "{total}");
    }
    assert_eq!(table(&[5, 1, 1]).f(), Power(2), "power counts, not seats");
}

#[test]
fn thresholds_are_strict() {
    for (total, quorum, third) in [(1, 1, 1), (3, 3, 2), (4, 3, 2), (6, 5, 3), (7, 5, 3), (9, 7, 4)]
    {
        let table = table(&vec![1; total]);
        assert_eq!(table.quorum(), Power(quorum));
        for power in 0..=total as u64 {
            assert_eq!(table.is_quorum(Power(power)), power >= quorum, "{power} of {total}");
            assert_eq!(table.is_third(Power(power)), power >= third, "{power} of {total}");
        }
    }
}

#[test]
fn quorums_meet_in_more_than_f_and_all_but_f_are_a_quorum() {
    for total in 1..=40_usize {
        let table = table(&vec![1; total]);
        let (total, f) = (total as u64, table.f().0);
        let least = (0..=total).find(|power| table.is_quorum(Power(*power))).unwrap();
        assert!(2 * least - total > f, "{total}");
        assert!(table.is_quorum(Power(total - f)), "{total}");
        let third = (0..=total).find(|power| table.is_third(Power(*power))).unwrap();
        assert!(third > f, "{total}: at least one of a third is correct");
    }
}

#[test]
fn k_is_the_most_seats_that_f_can_hold() {
    for (powers, k) in [
        (vec![1; 3], 0),
        (vec![1; 4], 1),
        (vec![1; 10], 3),
        (vec![2; 4], 1),
        (vec![5, 1, 1], 2),
        (vec![7, 1, 1, 1], 3),
        (vec![3, 3, 2, 1], 1),
        (vec![], 0),
    ] {
        let table = table(&powers);
        assert_eq!(table.k(), k, "{powers:?}");
        let sets = 0..1_u32 << powers.len();
        let most = sets.filter(|set| {
            let held = powers.iter().enumerate().filter(|(i, _)| set >> i & 1 == 1);
            held.map(|(_, power)| power).sum::<u64>() <= table.f().0
        });
        let most = most.map(u32::count_ones).max().unwrap();
        assert_eq!(u64::from(most), k, "{powers:?}: by trying every set");
    }
}

#[test]
fn validators_are_in_cometbft_s_order_and_seats_in_that_of_names() {
    let table = table(&[1, 3, 1, 3, 2]);
    let validators = table.validators();
    for pair in validators.windows(2) {
        let order = pair[1].power.cmp(&pair[0].power).then(pair[0].address.cmp(&pair[1].address));
        assert_eq!(order, std::cmp::Ordering::Less);
    }
    for (index, validator) in validators.iter().enumerate() {
        assert_eq!(validator.address, validator.key.address());
        assert_eq!(
            table.by_key(&validator.key).map(|(i, v)| (i, &v.org)),
            Some((index, &validator.org))
        );
        assert_eq!(table.seats()[&validator.org].holder, validator.key);
    }
    assert_eq!(table.by_key(&key(99)), None);
    assert_eq!(table.total_power(), Power(10));
    let names: Vec<_> = table.seats().keys().map(OrgName::as_str).collect();
    assert_eq!(names, ["org-0", "org-1", "org-2", "org-3", "org-4"]);
}

#[test]
fn places_of_bits_are_those_of_keys_in_order() {
    let node = |_| NodeEntry { org: "a".parse().unwrap(), pair: true, addresses: Vec::new() };
    let nodes: BTreeMap<_, _> = (1..=20).map(|n| (key(n), node(n))).collect();
    let register = Register { nodes };
    for (place, key) in register.nodes.keys().enumerate() {
        assert_eq!(register.index(key), Some(place));
    }
    assert_eq!(register.index(&key(21)), None);
}
