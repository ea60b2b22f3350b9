//! Decimal numbers, exactly, as far as 38 digits go.
//!
//! Every operation that could leave that range answers `None`; whoever asked then knows nothing.

use std::cmp::Ordering;

use serde_json::{Number, Value};

/// `mantissa / 10^scale`, with the smallest scale that does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Decimal {
    mantissa: i128,
    scale: u32,
}

const SCALE_MAX: u32 = 30;

impl Decimal {
    pub const ZERO: Self = Self { mantissa: 0, scale: 0 };
    pub const ONE: Self = Self { mantissa: 1, scale: 0 };

    pub fn new(mantissa: i128, scale: u32) -> Self {
        let (mut mantissa, mut scale) = (mantissa, scale);
        while scale > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        Self { mantissa, scale }
    }

    /// The number as the validator reads it: integers exactly, others by their shortest text.
    pub fn of(number: &Number) -> Option<Self> {
        if let Some(integer) = number.as_i64() {
            return Some(Self::new(integer.into(), 0));
        }
        if let Some(integer) = number.as_u64() {
            return Some(Self::new(integer.into(), 0));
        }
        let double = number.as_f64()?;
        if double.fract() == 0.0 {
            return (double.abs() < 1.0e36).then(|| Self::new(double as i128, 0));
        }
        // `Display` of a double is its shortest text, without an exponent.
        let text = double.to_string();
        let (whole, fraction) = text.split_once('.')?;
        let scale = u32::try_from(fraction.len()).ok().filter(|scale| *scale <= SCALE_MAX)?;
        format!("{whole}{fraction}").parse().ok().map(|mantissa| Self::new(mantissa, scale))
    }

    /// As a value; integers with a point where `pointed`. `None` where a double cannot hold it.
    pub fn to_value(self, pointed: bool) -> Option<Value> {
        if self.scale == 0 && !pointed {
            if let Ok(integer) = i64::try_from(self.mantissa) {
                return Some(integer.into());
            }
            if let Ok(integer) = u64::try_from(self.mantissa) {
                return Some(integer.into());
            }
        }
        let double = self.mantissa as f64 / 10f64.powi(self.scale as i32);
        let number = Number::from_f64(double)?;
        (Self::of(&number) == Some(self)).then_some(Value::Number(number))
    }

    pub fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// Both mantissas at one scale.
    fn aligned(self, other: Self) -> Option<(i128, i128, u32)> {
        let scale = self.scale.max(other.scale);
        let at = |number: Self| number.mantissa.checked_mul(10i128.checked_pow(scale - number.scale)?);
        Some((at(self)?, at(other)?, scale))
    }

    pub fn compare(self, other: Self) -> Option<Ordering> {
        self.aligned(other).map(|(one, two, _)| one.cmp(&two))
    }

    pub fn add(self, other: Self) -> Option<Self> {
        let (one, two, scale) = self.aligned(other)?;
        Some(Self::new(one.checked_add(two)?, scale))
    }

    pub fn minus(self, other: Self) -> Option<Self> {
        self.add(Self { mantissa: other.mantissa.checked_neg()?, ..other })
    }

    pub fn times(self, factor: i128) -> Option<Self> {
        Some(Self::new(self.mantissa.checked_mul(factor)?, self.scale))
    }

    /// A tenth, `places` times over.
    pub fn shrunk(self, places: u32) -> Option<Self> {
        (self.scale + places <= SCALE_MAX).then(|| Self::new(self.mantissa, self.scale + places))
    }

    pub fn is_multiple_of(self, divisor: Self) -> Option<bool> {
        let (number, divisor, _) = self.aligned(divisor)?;
        (divisor != 0).then(|| number % divisor == 0)
    }

    /// How often `divisor` goes into it, rounded down.
    pub fn quotient(self, divisor: Self) -> Option<i128> {
        let (number, divisor, _) = self.aligned(divisor)?;
        (divisor != 0).then(|| number.div_euclid(divisor))
    }

    /// The least positive number that is a multiple of both.
    pub fn common_multiple(self, other: Self) -> Option<Self> {
        let (one, two, scale) = self.aligned(other)?;
        let divisor = gcd(one.checked_abs()?, two.checked_abs()?);
        (divisor != 0).then_some(())?;
        Some(Self::new((one / divisor).checked_mul(two)?.checked_abs()?, scale))
    }
}

fn gcd(one: i128, two: i128) -> i128 {
    if two == 0 { one } else { gcd(two, one % two) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn decimal(value: Value) -> Decimal {
        Decimal::of(value.as_number().unwrap()).unwrap()
    }

    #[test]
    fn numbers_are_equal_however_written() {
        assert_eq!(decimal(json!(1)), decimal(json!(1.0)));
        assert_eq!(decimal(json!(0.1)), Decimal::new(10, 2));
        assert_eq!(decimal(json!(-2.50)), Decimal::new(-25, 1));
        assert_eq!(decimal(json!(u64::MAX)).to_value(false), Some(json!(u64::MAX)));
        assert_eq!(decimal(json!(3)).to_value(true), Some(json!(3.0)));
        assert_eq!(Decimal::of(json!(1e300).as_number().unwrap()), None);
    }

    #[test]
    fn tenths_divide_exactly() {
        assert_eq!(decimal(json!(0.3)).is_multiple_of(decimal(json!(0.1))), Some(true));
        assert_eq!(decimal(json!(0.35)).is_multiple_of(decimal(json!(0.1))), Some(false));
        assert_eq!(decimal(json!(0.4)).common_multiple(decimal(json!(6))), Some(decimal(json!(6))));
        assert_eq!(decimal(json!(-0.5)).quotient(Decimal::ONE), Some(-1));
        assert_eq!(decimal(json!(1.5)).compare(decimal(json!(2))), Some(Ordering::Less));
    }
}
