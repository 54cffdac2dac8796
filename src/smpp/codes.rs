//! One macro for the three newtypes that are a number with a name: the constants, `ALL` and `name()` from one list.

macro_rules! named_codes {
    ($Type:ident($number:ty); $($NAME:ident = $value:literal $name:expr;)+) => {
        impl $Type {
            $(
                #[doc = concat!("`", $name, "`, ", stringify!($value), ".")]
                pub const $NAME: Self = Self($value);
            )+

            /// Every value that the specifications name, ascending.
            pub const ALL: &'static [Self] = &[$(Self($value)),+];

            /// The specification's name; `"unknown"` for any other value.
            pub const fn name(self) -> &'static str {
                match self.0 {
                    $($value => $name,)+
                    _ => "unknown",
                }
            }
        }

        impl std::fmt::Debug for $Type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({:#X})", self.name(), self.0)
            }
        }

        impl std::fmt::Display for $Type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self.name() {
                    "unknown" => write!(f, "{:#X}", self.0),
                    name => f.write_str(name),
                }
            }
        }
    };
}

pub(super) use named_codes;
