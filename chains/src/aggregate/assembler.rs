//! Just enough of an assembler for our aggregating programs: the operations it uses, constants, labels, data behind the
//! code.

/// One operation of the EVM, with its byte (<https://www.evm.codes>). What it takes from the stack is told top first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Op {
    /// a, b → a + b
    Add = 0x01,
    /// a, b → a × b
    Mul = 0x02,
    /// a, b → a − b
    Sub = 0x03,
    /// a, b → 1 if a < b, else 0
    Lt = 0x10,
    /// a, b → 1 if a > b, else 0
    Gt = 0x11,
    /// a, b → 1 if a = b, else 0
    Eq = 0x14,
    /// a → 1 if a = 0, else 0
    IsZero = 0x15,
    /// a, b → a and b, bit by bit
    And = 0x16,
    /// a, b → a or b, bit by bit
    Or = 0x17,
    /// shift, a → a shifted right by so many bits
    Shr = 0x1c,
    /// account → its native balance
    Balance = 0x31,
    /// offset → the word of the call's data there
    CallDataLoad = 0x35,
    /// → length of the call's data
    CallDataSize = 0x36,
    /// destination in memory, offset in the call's data, length →
    CallDataCopy = 0x37,
    /// destination in memory, offset in the code, length →
    CodeCopy = 0x39,
    /// account → length of its code
    ExtCodeSize = 0x3b,
    /// → length of what the last call returned
    ReturnDataSize = 0x3d,
    /// → the block's timestamp
    Timestamp = 0x42,
    /// → the chain's id
    ChainId = 0x46,
    /// a →
    Pop = 0x50,
    /// offset → the word of memory there
    MLoad = 0x51,
    /// offset, word →
    MStore = 0x52,
    /// offset, word → (its last byte)
    MStore8 = 0x53,
    /// target, condition → (jumps unless the condition is 0)
    JumpI = 0x57,
    /// → gas left
    Gas = 0x5a,
    /// → (where jumps may lead)
    JumpDest = 0x5b,
    /// a → a, a
    Dup1 = 0x80,
    /// b, a → a, b, a
    Dup2 = 0x81,
    /// c, b, a → a, c, b, a
    Dup3 = 0x82,
    /// h, g, f, e, d, c, b, a → a, h, g, f, e, d, c, b, a
    Dup8 = 0x87,
    /// a, b → b, a
    Swap1 = 0x90,
    /// a, b, c → c, b, a
    Swap2 = 0x91,
    /// value, offset, length → the account whose code that memory makes
    Create = 0xf0,
    /// gas, account, value, input offset, input length, output offset, output length → 1 if it succeeded, else 0
    Call = 0xf1,
    /// offset, length → (ends with that memory as the answer)
    Return = 0xf3,
    /// gas, account, input offset, input length, output offset, output length → 1 if it succeeded, else 0
    StaticCall = 0xfa,
    /// offset, length → (ends with that memory as the answer and takes back whatever was done)
    Revert = 0xfd,
}

/// PUSH1; PUSHn is `PUSH1 + n − 1`.
const PUSH1: u8 = 0x60;

/// Bytes of a label in the code: 24 bits, as many as a push of 3 bytes has.
const LABEL_LEN: usize = 3;

/// A place in the program that is pushed before or after it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label(usize);

/// A program that is being written.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    code: Vec<u8>,
    /// Where each label points.
    places: Vec<Option<usize>>,
    /// Where labels are to be filled in.
    uses: Vec<(usize, Label)>,
}

impl Assembler {
    /// Room for a program of about this many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { code: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// Appends operations.
    pub(super) fn ops(&mut self, ops: &[Op]) -> &mut Self {
        self.code.extend(ops.iter().map(|op| *op as u8));
        self
    }

    /// Pushes a number, in as few bytes as it has, but at least one: `PUSH0` is younger than some chains.
    pub(super) fn push(&mut self, number: u64) -> &mut Self {
        let bytes = number.to_be_bytes();
        let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1);
        self.push_bytes(&bytes[first..])
    }

    /// Pushes 1 to 32 bytes.
    pub(super) fn push_bytes(&mut self, bytes: &[u8]) -> &mut Self {
        assert!((1..=32).contains(&bytes.len()), "the stack holds words of 32 bytes");
        let more = u8::try_from(bytes.len() - 1).expect("just compared");
        self.code.push(PUSH1 + more);
        self.code.extend_from_slice(bytes);
        self
    }

    /// Pushes what a label will point to.
    pub(super) fn push_label(&mut self, label: Label) -> &mut Self {
        self.push_bytes(&[0; LABEL_LEN]);
        self.uses.push((self.code.len() - LABEL_LEN, label));
        self
    }

    /// A label that points nowhere yet.
    pub(super) fn label(&mut self) -> Label {
        self.places.push(None);
        Label(self.places.len() - 1)
    }

    /// Lets a label point here, at data.
    pub(super) fn place(&mut self, label: Label) -> &mut Self {
        let place = self.places[label.0].replace(self.code.len());
        assert!(place.is_none(), "a label points to one place");
        self
    }

    /// Lets a label point here, for jumps.
    pub(super) fn jump_place(&mut self, label: Label) -> &mut Self {
        self.place(label).ops(&[Op::JumpDest])
    }

    /// Appends data, behind everything that is executed.
    pub(super) fn data(&mut self, bytes: &[u8]) -> &mut Self {
        self.code.extend_from_slice(bytes);
        self
    }

    /// The program.
    pub(super) fn finish(mut self) -> Vec<u8> {
        for (at, label) in self.uses {
            let place = self.places[label.0].expect("every label is placed");
            let bytes = place.to_be_bytes();
            let (high, low) = bytes.split_at(bytes.len() - LABEL_LEN);
            assert!(high.iter().all(|byte| *byte == 0), "programs are shorter than 2^24 bytes");
            self.code[at..at + LABEL_LEN].copy_from_slice(low);
        }
        self.code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_as_few_bytes_as_they_have() {
        let mut assembler = Assembler::default();
        assembler.push(0).push(0xff).push(0x100).push(u64::MAX).push_bytes(&[7; 20]);
        let mut expected = vec![0x60, 0, 0x60, 0xff, 0x61, 1, 0, 0x67];
        expected.extend([0xff; 8]);
        expected.push(0x73);
        expected.extend([7; 20]);
        assert_eq!(assembler.finish(), expected);
    }

    #[test]
    fn labels_are_filled_in_wherever_they_stand() {
        let mut assembler = Assembler::default();
        let (back, data) = (assembler.label(), assembler.label());
        assembler.jump_place(back).push_label(data).push_label(back).ops(&[Op::JumpI]).place(data).data(&[0xaa]);
        assert_eq!(assembler.finish(), [0x5b, 0x62, 0, 0, 10, 0x62, 0, 0, 0, 0x57, 0xaa]);
    }
}
