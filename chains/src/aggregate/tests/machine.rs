//! As much of the EVM as our program uses, written from the yellow paper and not from the assembler.

use alloy_primitives::U256;

/// What a call came to.
pub(super) enum Outcome {
    Failed,
    Returned(Vec<u8>),
}

/// The accounts around the program.
pub(super) trait Contracts {
    fn call(&self, contract: [u8; 20], input: &[u8]) -> Outcome;
    fn balance(&self, account: [u8; 20]) -> U256;
}

/// Executes init code to its end and gives what would be deployed.
pub(super) fn execute(code: &[u8], contracts: &impl Contracts, timestamp_s: u64, chain: u64) -> Vec<u8> {
    let mut machine = Machine { code, stack: Vec::new(), memory: Vec::new(), returned: 0, at: 0, gas: 30_000_000 };
    loop {
        let op = code[machine.at];
        machine.at += 1;
        match op {
            0x01 => machine.two(|a, b| a.wrapping_add(b)),
            0x02 => machine.two(|a, b| a.wrapping_mul(b)),
            0x03 => machine.two(|a, b| a.wrapping_sub(b)),
            0x10 => machine.two(|a, b| U256::from(a < b)),
            0x11 => machine.two(|a, b| U256::from(a > b)),
            0x14 => machine.two(|a, b| U256::from(a == b)),
            0x16 => machine.two(|a, b| a & b),
            0x31 => {
                let account = machine.address();
                machine.stack.push(contracts.balance(account));
            }
            0x39 => machine.code_copy(),
            0x3d => machine.stack.push(U256::from(machine.returned)),
            0x42 => machine.stack.push(U256::from(timestamp_s)),
            0x46 => machine.stack.push(U256::from(chain)),
            0x50 => drop(machine.pop()),
            0x51 => {
                let at = machine.index();
                let word = U256::from_be_slice(machine.memory(at, 32));
                machine.stack.push(word);
            }
            0x52 => {
                let (at, word) = (machine.index(), machine.pop());
                machine.memory(at, 32).copy_from_slice(&word.to_be_bytes::<32>());
            }
            0x53 => {
                let (at, word) = (machine.index(), machine.pop());
                machine.memory(at, 1)[0] = word.to_be_bytes::<32>()[31];
            }
            0x57 => {
                let (target, condition) = (machine.index(), machine.pop());
                if !condition.is_zero() {
                    assert_eq!(code[target], 0x5b, "jumps lead to their places only");
                    machine.at = target;
                }
            }
            0x5a => machine.stack.push(U256::from(machine.gas)),
            0x5b => {}
            0x60..=0x7f => {
                let len = usize::from(op - 0x5f);
                machine.stack.push(U256::from_be_slice(&code[machine.at..machine.at + len]));
                machine.at += len;
            }
            0x80..=0x8f => machine.stack.push(machine.stack[machine.stack.len() - usize::from(op - 0x7f)]),
            0x90..=0x9f => {
                let top = machine.stack.len() - 1;
                machine.stack.swap(top, top - usize::from(op - 0x8f));
            }
            0xf3 => {
                let (at, len) = (machine.index(), machine.index());
                assert!(machine.stack.is_empty(), "nothing is left on the stack");
                return machine.memory(at, len).to_vec();
            }
            0xfa => machine.static_call(contracts),
            _ => panic!("operation {op:#x} at {}", machine.at - 1),
        }
    }
}

struct Machine<'a> {
    code: &'a [u8],
    stack: Vec<U256>,
    memory: Vec<u8>,
    returned: usize,
    at: usize,
    gas: u64,
}

impl Machine<'_> {
    fn pop(&mut self) -> U256 {
        self.stack.pop().expect("the stack is not empty")
    }

    fn index(&mut self) -> usize {
        usize::try_from(self.pop()).expect("a place in memory or code")
    }

    fn address(&mut self) -> [u8; 20] {
        *self.pop().to_be_bytes::<32>().last_chunk().unwrap()
    }

    fn two(&mut self, f: impl Fn(U256, U256) -> U256) {
        let (a, b) = (self.pop(), self.pop());
        self.stack.push(f(a, b));
    }

    fn memory(&mut self, at: usize, len: usize) -> &mut [u8] {
        if self.memory.len() < at + len {
            self.memory.resize((at + len).next_multiple_of(32), 0);
        }
        &mut self.memory[at..at + len]
    }

    fn code_copy(&mut self) {
        let (to, from, len) = (self.index(), self.index(), self.index());
        let bytes = self.code[from..from + len].to_vec();
        self.memory(to, len).copy_from_slice(&bytes);
    }

    fn static_call(&mut self, contracts: &impl Contracts) {
        let (gas, contract) = (self.pop(), self.address());
        assert!(!gas.is_zero());
        // What a call costs before it does anything; nothing else costs gas here.
        self.gas -= 700;
        let (input_at, input_len) = (self.index(), self.index());
        let (output_at, output_len) = (self.index(), self.index());
        let input = self.memory(input_at, input_len).to_vec();
        let (succeeded, data) = match contracts.call(contract, &input) {
            Outcome::Failed => (false, Vec::new()),
            Outcome::Returned(data) => (true, data),
        };
        self.returned = data.len();
        let len = output_len.min(data.len());
        self.memory(output_at, len).copy_from_slice(&data[..len]);
        self.stack.push(U256::from(succeeded));
    }
}
