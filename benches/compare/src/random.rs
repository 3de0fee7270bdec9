//! Numbers that look random and are the same in every run.

/// `xorshift64*`: content and masks need to differ, and nothing more.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Numbers of their own for each seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(0x9E37_79B9_7F4A_7C15_u64.wrapping_add(seed.wrapping_mul(0xD1B5_4A32_D192_ED03)))
    }

    /// The next number of 32 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32
    }

    pub fn below(&mut self, limit: u32) -> u32 {
        u32::try_from(self.draw() % u64::from(limit)).unwrap_or_default()
    }

    /// The key of a frame.
    pub fn mask(&mut self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.draw().to_le_bytes();
        [a, b, c, d]
    }
}
