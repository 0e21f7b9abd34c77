//! As much of the EVM as our programs use, written from the yellow paper and not from the assembler.

use alloy_primitives::U256;

/// Gas of the transaction.
const GAS: u64 = 30_000_000;

/// What a call costs before it does anything; nothing else costs gas here.
const CALL_COST: u64 = 700;

/// The account that a program makes.
const MADE: [u8; 20] = [0xfa; 20];

/// What a call came to.
pub(super) enum Outcome {
    Failed,
    Returned(Vec<u8>),
}

/// The accounts around the program.
pub(super) trait Contracts {
    /// What a call comes to that has so much gas, and how much of it it uses. Only a call that is not static may change
    /// anything.
    fn call(&self, contract: [u8; 20], input: &[u8], gas: u64, is_static: bool) -> (Outcome, u64);

    fn balance(&self, account: [u8; 20]) -> U256;

    fn code_len(&self, account: [u8; 20]) -> usize;

    /// Takes back every change.
    fn take_back(&self) {}
}

/// Executes init code to its end and gives what would be deployed.
pub(super) fn execute(code: &[u8], contracts: &impl Contracts, timestamp_s: u64, chain: u64) -> Vec<u8> {
    let mut made = None;
    let world = World { contracts, timestamp_s, chain };
    match run(&world, &mut made, code, &[], &mut { GAS }) {
        End::Return(data) => data,
        End::Revert(_) => panic!("the program itself never reverts"),
    }
}

struct World<'a, C> {
    contracts: &'a C,
    timestamp_s: u64,
    chain: u64,
}

enum End {
    Return(Vec<u8>),
    Revert(Vec<u8>),
}

/// Executes one frame. `made` is the code of the account that was made.
fn run<C: Contracts>(world: &World<'_, C>, made: &mut Option<Vec<u8>>, code: &[u8], data: &[u8], gas: &mut u64) -> End {
    let mut machine = Machine { code, stack: Vec::new(), memory: Vec::new(), returned: 0, at: 0 };
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
            0x15 => {
                let is_zero = machine.pop().is_zero();
                machine.stack.push(U256::from(is_zero));
            }
            0x16 => machine.two(|a, b| a & b),
            0x17 => machine.two(|a, b| a | b),
            0x1c => machine.two(|a, b| b >> usize::try_from(a).unwrap()),
            0x31 => {
                let account = machine.address();
                machine.stack.push(world.contracts.balance(account));
            }
            0x35 => {
                let at = machine.index();
                let word: [u8; 32] = std::array::from_fn(|index| data.get(at + index).copied().unwrap_or(0));
                machine.stack.push(U256::from_be_bytes(word));
            }
            0x36 => machine.stack.push(U256::from(data.len())),
            0x37 => machine.copy(data),
            0x39 => machine.copy(code),
            0x3b => {
                let account = machine.address();
                machine.stack.push(U256::from(world.contracts.code_len(account)));
            }
            0x3d => machine.stack.push(U256::from(machine.returned)),
            0x42 => machine.stack.push(U256::from(world.timestamp_s)),
            0x46 => machine.stack.push(U256::from(world.chain)),
            0x5a => machine.stack.push(U256::from(*gas)),
            0xf0 => {
                assert!(machine.pop().is_zero(), "nothing is paid");
                let (at, len) = (machine.index(), machine.index());
                let creation = machine.memory(at, len).to_vec();
                match run(world, &mut None, &creation, &[], gas) {
                    End::Return(code) => *made = Some(code),
                    End::Revert(_) => panic!("it is made"),
                }
                machine.stack.push(U256::from_be_slice(&MADE));
            }
            0xf1 => machine.call(world, made, gas, false),
            0xfa => machine.call(world, made, gas, true),
            0xf3 | 0xfd => {
                let (at, len) = (machine.index(), machine.index());
                assert!(machine.stack.is_empty(), "nothing is left on the stack");
                let answer = machine.memory(at, len).to_vec();
                return if op == 0xf3 { End::Return(answer) } else { End::Revert(answer) };
            }
            _ => machine.plain(op),
        }
    }
}

struct Machine<'a> {
    code: &'a [u8],
    stack: Vec<U256>,
    memory: Vec<u8>,
    returned: usize,
    at: usize,
}

impl Machine<'_> {
    /// Operations on stack and memory, and jumps.
    fn plain(&mut self, op: u8) {
        match op {
            0x50 => drop(self.pop()),
            0x51 => {
                let at = self.index();
                let word = U256::from_be_slice(self.memory(at, 32));
                self.stack.push(word);
            }
            0x52 => {
                let (at, word) = (self.index(), self.pop());
                self.memory(at, 32).copy_from_slice(&word.to_be_bytes::<32>());
            }
            0x53 => {
                let (at, word) = (self.index(), self.pop());
                self.memory(at, 1)[0] = word.to_be_bytes::<32>()[31];
            }
            0x57 => {
                let (target, condition) = (self.index(), self.pop());
                if !condition.is_zero() {
                    assert_eq!(self.code[target], 0x5b, "jumps lead to their places only");
                    self.at = target;
                }
            }
            0x5b => {}
            0x60..=0x7f => {
                let len = usize::from(op - 0x5f);
                self.stack.push(U256::from_be_slice(&self.code[self.at..self.at + len]));
                self.at += len;
            }
            0x80..=0x8f => self.stack.push(self.stack[self.stack.len() - usize::from(op - 0x7f)]),
            0x90..=0x9f => {
                let top = self.stack.len() - 1;
                self.stack.swap(top, top - usize::from(op - 0x8f));
            }
            _ => panic!("operation {op:#x} at {}", self.at - 1),
        }
    }

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

    fn copy(&mut self, from: &[u8]) {
        let (to, at, len) = (self.index(), self.index(), self.index());
        self.memory(to, len).copy_from_slice(&from[at..at + len]);
    }

    fn call<C: Contracts>(&mut self, world: &World<'_, C>, made: &mut Option<Vec<u8>>, gas: &mut u64, is_static: bool) {
        let (wanted, account) = (u64::try_from(self.pop()).unwrap_or(u64::MAX), self.address());
        assert!(wanted > 0);
        if !is_static {
            assert!(self.pop().is_zero(), "nothing is paid");
        }
        *gas -= CALL_COST;
        // EIP-150: a 64th is kept back.
        let granted = wanted.min(*gas - *gas / 64);
        let (input_at, input_len) = (self.index(), self.index());
        let (output_at, output_len) = (self.index(), self.index());
        let input = self.memory(input_at, input_len).to_vec();
        let (succeeded, data) = if account == MADE {
            let code = made.clone().expect("it was made");
            let mut left = granted;
            let end = run(world, made, &code, &input, &mut left);
            *gas -= granted - left;
            match end {
                End::Return(data) => (true, data),
                End::Revert(data) => {
                    world.contracts.take_back();
                    (false, data)
                }
            }
        } else {
            let (outcome, used) = world.contracts.call(account, &input, granted, is_static);
            assert!(used <= granted);
            *gas -= used;
            match outcome {
                Outcome::Failed => (false, Vec::new()),
                Outcome::Returned(data) => (true, data),
            }
        };
        self.returned = data.len();
        let len = output_len.min(data.len());
        self.memory(output_at, len).copy_from_slice(&data[..len]);
        self.stack.push(U256::from(succeeded));
    }
}
